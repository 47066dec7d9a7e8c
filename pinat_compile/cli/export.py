"""``pinat-compile export``: a compiled network as files for other tools and for real chips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from pinat_compile.cli.options import PathOf, common, folder_argument
from pinat_compile.cli.output import Output
from pinat_compile.errors import OptionError
from pinat_compile.reporting.printable import printable


@click.command("export", short_help="Plain ONNX, conductances for a chip, a tile as SPICE netlist.")
@folder_argument
@click.option(
    "-o", "--output", "model", type=PathOf(), metavar="MODEL.onnx", help="Plain ONNX, with the values training found."
)
@click.option(
    "--annotated", type=PathOf(), metavar="FILE", help="The original ONNX; each node's metadata say where it runs."
)
@click.option(
    "--conductances", type=PathOf(), metavar="DIR", help="Conductances of every array in µS: NumPy and CSV."
)
@click.option("--spice", type=PathOf(), metavar="FILE", help="The netlist of the array that holds --tile.")
@click.option("--tile", metavar="ID", help="A tile's id in tiles.jsonl, for example conv1/0.0.0.")
@click.option("--chip", type=int, metavar="N",
              help="Conductances and netlist as this chip holds them.  [default: as they are asked for]")
@click.option("--time", metavar="T", help="The chip's age: 1s, 1h, 30d, 1y.")
@common
@click.pass_context
def export_command(
    ctx: click.Context,
    folder: Path,
    model: Path | None,
    annotated: Path | None,
    conductances: Path | None,
    spice: Path | None,
    tile: str | None,
    chip: int | None,
    time: str | None,
) -> None:
    """Write the compiled network in DIR for other tools."""
    places = [place for place in (model, annotated, conductances, spice) if place is not None]
    if not places:
        raise click.UsageError("nothing to export: give -o, --annotated, --conductances or --spice")
    if (spice is None) != (tile is None):
        raise click.UsageError("--spice and --tile go together: a netlist is that of one tile's array")
    if spice is None and conductances is None and (chip is not None or time is not None):
        raise click.UsageError("--chip and --time are for --conductances and --spice")
    if chip is None and time is not None:
        raise click.UsageError("--time needs --chip: target conductances have no age")
    _check(folder, model, annotated, conductances, spice)
    from pinat_compile import exports
    from pinat_compile.compiler.folder import load
    from pinat_compile.simulator.conditions import Conditions, seconds

    compiled = load(folder)
    held = None
    if chip is not None:
        held = Conditions(chip=chip, time_s=compiled.default_time_s if time is None else seconds(time))

    def written() -> Iterator[Path]:
        if spice is not None and tile is not None:
            yield exports.write_netlist(compiled, spice, tile, chip=chip, time=time)
        if model is not None:
            yield exports.export(compiled, model)
        if annotated is not None:
            yield exports.write_annotated(compiled, annotated)
        if conductances is not None:
            yield exports.write_conductances(compiled, conductances, held)

    out = Output.of(ctx)
    finished: list[str] = []
    out.keeps(lambda: f"kept {', '.join(finished)}" if finished else "nothing was written")
    for place in written():
        finished.append(str(place))
        out.note(printable(f"wrote {place}"))


def _check(folder: Path, model: Path | None, annotated: Path | None, conductances: Path | None, spice: Path | None
           ) -> None:
    """Raise OptionError where something could not be written, before anything is read."""
    from pinat_compile.exports.conductances import check_conductances
    from pinat_compile.exports.places import check_file

    seen: dict[Path, str] = {}
    files = (("--output", model), ("--annotated", annotated), ("--spice", spice))
    for option, place in (*files, ("--conductances", conductances)):
        if place is None:
            continue
        if place.resolve().is_relative_to(folder.resolve()):
            reason, hint = f"it lies inside {folder}", "name another place"
            raise OptionError(f"{option} {place}: cannot be written: {reason}", hint=hint)
        other = seen.setdefault(place.resolve(), option)
        if other != option:
            raise OptionError(f"{option} {place}: is {other} too", hint="name another file")
        if option == "--conductances":
            check_conductances(place)
        else:
            check_file(place, option)
