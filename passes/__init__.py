"""Graph-to-graph passes; import them as ``pinat_compile.passes``."""

if __name__ != "pinat_compile.passes":
    raise ImportError("import pinat_compile.passes; the folder passes/ is not a package of its own")
