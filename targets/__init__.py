"""The shipped targets, one TOML file a chip; import them as ``pinat_compile.targets``."""

if __name__ != "pinat_compile.targets":
    raise ImportError("import pinat_compile.targets; the folder targets/ is not a package of its own")
