"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data"), items = read("items");
  const $ = (selector) => document.querySelector(selector);
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  Bokeh.logger.set_level("error");
  const models = {};  // picture -> name -> model of Bokeh

  // --- small helpers ---

  const make = (tag, text, className) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;  // names come from outside: never as HTML
    if (className) node.className = className;
    return node;
  };
  const engineering = (value, unit) => {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return `0 ${unit}`;
    const power = Math.min(12, Math.max(-15, 3 * Math.floor(Math.log10(Math.abs(value)) / 3)));
    const letter = { "-15": "f", "-12": "p", "-9": "n", "-6": "µ", "-3": "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T" }[power];
    return `${(value / 10 ** power).toPrecision(3)} ${letter}${unit}`;
  };
  const unpacked = (text, Kind) => new Kind(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const facts = (pairs) => {
    const list = make("dl");
    for (const [label, text] of pairs) {
      const line = make("div");
      line.append(make("dt", label), make("dd", text));
      list.append(line);
    }
    return list;
  };
  const closing = (aside) => {
    const button = make("button", "×", "close");
    button.setAttribute("aria-label", "close");
    button.onclick = () => { aside.hidden = true; };
    return button;
  };

  // --- light and dark ---

  const wanted = matchMedia("(prefers-color-scheme: dark)");
  let shade = null;  // chosen by the reader; null: as the system says
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const paint = (held) => {
    const ink = colour("--quiet"), line = colour("--line");
    const set = { major_label_text_color: ink, axis_label_text_color: ink, axis_line_color: line, major_tick_line_color: line,
      grid_line_color: line, label_text_color: ink, title_text_color: ink };
    for (const model of held) for (const key of Object.keys(set)) {
      if (key in model.properties && !(key === "grid_line_color" && model.grid_line_color === null)) model[key] = set[key];
    }
  };
  const shading = () => {
    document.documentElement.dataset.shade = shade ?? (wanted.matches ? "dark" : "light");
    for (const held of Object.values(models)) paint(held.all);
  };
  wanted.addEventListener("change", shading);
  $("#shade").onclick = () => { shade = document.documentElement.dataset.shade === "dark" ? "light" : "dark"; shading(); };
  shading();

  // --- pictures, drawn when they come into view ---

  const draw = async (name) => {
    if (models[name] || !items[name]) return;
    models[name] = { all: [] };
    await Bokeh.embed.embed_item(items[name]);
    const ours = (root) => root.id === items[name].root_id;
    const all = [...Bokeh.documents.find((held) => held.roots().some(ours))._all_models.values()];
    models[name] = { all, get: (wanted) => all.find((model) => model.name === wanted) };
    paint(all);
    (drawn[name] ?? (() => {}))();
  };
  const chosenIn = (source, then) => source.selected.properties.indices.change.connect(() => {
    if (source.selected.indices.length) then(source.selected.indices[0]);
  });
  const drawn = {
    along: () => ["nodes", "bars"].forEach((name) => chosenIn(models.along.get(name), choose)),
    plan: () => chosenIn(models.plan.get("cells"), showTiles),
  };

  // --- a layer is chosen: in the graph, a bar, or the table ---

  const choose = (at) => {
    const entry = data.entries[at], aside = $("#details");
    const left = make("div"), right = make("div");
    left.append(facts(entry.facts));
    const energies = facts(entry.energy.map(([word, , , value]) => [word, value]));
    [...energies.children].forEach((line, index) => {
      const [, shade, share] = entry.energy[index];
      const bar = make("span", undefined, "bar"), part = make("i");
      bar.style.width = `${100 * share}%`;
      part.style.cssText = `width:100%;background:${shade}`;
      bar.append(part);
      line.style.flexWrap = "wrap";
      bar.style.flexBasis = `${100 * share}%`;
      line.append(bar);
    });
    right.append(energies);
    const columns = make("div", undefined, "columns");
    columns.append(left, right);
    aside.replaceChildren(closing(aside), make("h3", entry.name), columns);
    if (entry.hint) aside.append(make("p", `Had better stay digital: ${entry.hint}`, "hint"));
    aside.hidden = false;
    $$("#layers tr.chosen").forEach((row) => row.classList.remove("chosen"));
    $(`#layers tr[data-at="${at}"]`)?.classList.add("chosen");
    for (const name of ["nodes", "bars"]) {
      const source = models.along?.get?.(name);
      if (source && source.selected.indices[0] !== at) source.selected.indices = [at];
    }
    spread(entry.matrix);
  };

  // --- energy, time, area; components on and off ---

  const hiddenParts = new Set();
  const measure = (metric) => {
    const costs = models.along.get("costs"), tag = costs.tags[0];
    for (const bar of costs.renderers) bar.visible = bar.name.split(":")[0] === metric;
    models.along.all.find((model) => "axis_label" in model.properties && model.axis_label in labelsOf(tag)).axis_label = tag[metric];
    $("#components").style.visibility = metric === "energy" ? "" : "hidden";
  };
  const labelsOf = (tag) => Object.fromEntries(["energy", "time", "area"].map((key) => [tag[key], key]));
  const stack = () => {
    const source = models.along.get("bars"), parts = models.along.get("costs").tags[0].components;
    const next = { ...source.data }, length = next.x.length;
    let bottom = new Float64Array(length);
    for (const part of parts) {
      const top = bottom.map((value, i) => value + (hiddenParts.has(part) ? 0 : next[`v_${part}`][i]));
      next[`b_${part}`] = bottom;
      next[`t_${part}`] = top;
      bottom = top;
    }
    source.data = next;
  };
  const choice = (group, then) => $$(`${group} button`).forEach((button) => {
    button.onclick = () => {
      $$(`${group} button`).forEach((other) => other.classList.toggle("on", other === button));
      then(button.dataset);
    };
  });
  choice("#metric", ({ metric }) => measure(metric));
  $$("#components button").forEach((button) => {
    button.onclick = () => {
      const part = button.dataset.component, off = !hiddenParts.has(part);
      off ? hiddenParts.add(part) : hiddenParts.delete(part);
      button.setAttribute("aria-pressed", String(!off));
      stack();
    };
  });

  // --- zoom by buttons: the page keeps wheel and touch ---

  const whole = {};
  const moved = (range, step, back) => {
    const size = range.end - range.start, middle = range.start + size / 2;
    if (step === "in" || step === "out") {
      const half = (step === "in" ? 0.25 : 1.0) * size;
      [range.start, range.end] = [middle - half, middle + half];
    } else {
      const by = (back ? -0.4 : 0.4) * size;
      [range.start, range.end] = [range.start + by, range.end + by];
    }
  };
  $$("[data-zoom] button").forEach((button) => {
    button.onclick = () => {
      const name = button.parentNode.dataset.zoom, step = button.dataset.step;
      const figure = models[name].get(name === "along" ? "costs" : "plan");
      const ranges = name === "along" ? { x: figure.x_range } : { x: figure.x_range, y: figure.y_range };
      whole[name] ??= Object.fromEntries(Object.entries(ranges).map(([axis, range]) => [axis, [range.start, range.end]]));
      for (const [axis, range] of Object.entries(ranges)) {
        const across = step === "left" || step === "right";
        if (step === "all") [range.start, range.end] = whole[name][axis];
        else if (step === "in" || step === "out" || across === (axis === "x")) moved(range, step, step === "left" || step === "up");
      }
    };
  });

  // --- the table of layers ---

  const rows = $$("#layers tbody tr");
  const filter = () => {
    const text = $("#find").value.toLowerCase(), only = $("#only .on").dataset.only;
    for (const row of rows) {
      row.hidden = !(row.cells[0].textContent + row.cells[1].textContent).toLowerCase().includes(text)
        || (only !== "all" && !row.classList.contains(only));
    }
  };
  $("#find").oninput = filter;
  choice("#only", filter);
  const valueOf = (row, key) => key === "at" ? Number(row.dataset.at) : JSON.parse(row.dataset.v)[key];
  $$("#layers th[data-sort]").forEach((head) => {
    head.onclick = () => {
      const key = head.dataset.sort, down = key === "at" ? head.classList.contains("up") : !head.classList.contains("down");
      $$("#layers th").forEach((other) => other.classList.remove("up", "down"));
      head.classList.add(down ? "down" : "up");
      const keyed = rows.map((row) => [valueOf(row, key), row]);
      keyed.sort(([a], [b]) => a === null ? (b === null ? 0 : 1) : b === null ? -1 : down ? b - a : a - b);
      $("#layers tbody").append(...keyed.map(([, row]) => row));
    };
  });
  rows.forEach((row) => {
    row.onclick = () => choose(Number(row.dataset.at));
    row.onkeydown = (event) => { if (event.key === "Enter") choose(Number(row.dataset.at)); };
  });
  $$("#hurt tbody tr").forEach((row) => {
    row.onclick = () => {
      const at = data.entries.findIndex((entry) => entry.layer === row.cells[0].textContent);
      if (at >= 0) { choose(at); $("#details").scrollIntoView({ block: "center" }); }
    };
  });

  // --- floor plan ---

  choice("#shading", ({ field }) => {
    const source = models.plan.get("cells"), shades = models.plan.get("shades"), scale = models.plan.get("scale");
    const values = [...source.data[field]].filter(Number.isFinite);
    const top = values.reduce((a, b) => Math.max(a, b), 0), low = values.reduce((a, b) => Math.min(a, b), Infinity);
    source.data = { ...source.data, value: source.data[field] };
    shades.low = field === "snr" ? low : 0;
    shades.high = field === "used" ? Math.max(100, top) : Math.max(top, shades.low + 1e-9);
    scale.title = models.plan.get("plan").tags[0][field];
  });
  let tiles = null;
  const unpackTiles = () => {
    const packed = data.tiles;
    tiles ??= { array: unpacked(packed.array, Int32Array), layer: unpacked(packed.layer, Int32Array),
      ranges: unpacked(packed.ranges, Int32Array), used: unpacked(packed.used, Float32Array),
      energy: unpacked(packed.energy, Float32Array), slices: packed.slices, layers: packed.layers };
  };
  const SHOWN = 200;
  const showTiles = (cell) => {
    unpackTiles();
    const cells = models.plan.get("cells").data, first = cells.array[cell];
    const together = models.plan.get("plan").tags[0].together, aside = $("#tiles");
    const found = [];
    tiles.array.forEach((array, index) => { if (array >= first && array < first + together) found.push(index); });
    const table = make("table"), body = make("tbody"), head = make("tr");
    const slices = tiles.slices > 1 ? ["energy by slice, least significant first"] : [];
    for (const text of ["array", "layer", "rows", "columns", "cells used", "energy", ...slices]) head.append(make("th", text));
    for (const index of found.slice(0, SHOWN)) {
      const [a, b, c, d] = tiles.ranges.subarray(4 * index, 4 * index + 4), line = make("tr");
      const parts = [...tiles.energy.subarray(tiles.slices * index, tiles.slices * (index + 1))].filter((x) => !Number.isNaN(x));
      const sum = parts.length ? parts.reduce((x, y) => x + y, 0) : NaN;
      const texts = [tiles.array[index], tiles.layers[tiles.layer[index]], `${a} to ${b - 1}`, `${c} to ${d - 1}`,
        `${(100 * tiles.used[index]).toFixed(1)} %`, engineering(sum, "J")];
      if (slices.length) texts.push(parts.map((x) => engineering(x, "J")).join(", "));
      texts.forEach((text) => line.append(make("td", text)));
      body.append(line);
    }
    const top = make("thead"), scroll = make("div", undefined, "scroll tall");
    top.append(head);
    table.append(top, body);
    scroll.append(table);
    const what = together === 1 ? `Array ${first}` : `Arrays ${first} to ${first + together - 1}`;
    aside.replaceChildren(closing(aside), make("h3", `${what}: ${found.length} tile${found.length === 1 ? "" : "s"}`), scroll);
    if (found.length > SHOWN) aside.append(make("p", `and ${found.length - SHOWN} more: see tiles.jsonl in the folder`, "quiet"));
    aside.hidden = false;
    const at = data.entries.findIndex((entry) => entry.layer === tiles.layers[tiles.layer[found[0]]]);
    if (at >= 0) spread(data.entries[at].matrix);
  };

  // --- histograms: of the whole network, or of the layer that is chosen ---

  const wholeNetwork = (spreads, kind) => Object.values(spreads).map((each) => each[kind])
    .reduce((a, b) => a.map((value, i) => value + b[i]));
  const shares = (counts) => {
    const total = counts.reduce((a, b) => a + b, 0);
    return counts.map((n) => n > 0 ? n / total : NaN);
  };
  const spread = (matrix) => {
    const of = data.spreads[0][matrix];
    for (const kind of ["weights", "conductances"]) {
      const held = models[kind];
      if (!held?.get) continue;
      let least = 1;
      data.spreads.forEach((spreads, run) => {  // the second is that of the other run
        const source = held.get(`${kind}:${run}`);
        if (!source) return;
        const counts = of ? spreads[matrix]?.[kind] : wholeNetwork(spreads, kind);
        const share = counts ? shares(counts) : [...source.data.share].map(() => NaN);
        source.data = { ...source.data, share };
        least = Math.min(least, ...share.filter((x) => x > 0));
      });
      held.get(kind).y_range.start = 0.5 * least;
    }
    if ($("#whose")) {
      $("#whose").textContent = of ? matrix : "the whole network";
      $("#whole").hidden = !of;
    }
    chosenMatrix = of ? matrix : null;
  };
  let chosenMatrix = null;
  drawn.weights = drawn.conductances = () => { if (chosenMatrix !== null) spread(chosenMatrix); };
  if ($("#whole")) $("#whole").onclick = () => spread(null);

  // --- two runs ---

  if ($("#differ")) $("#differ").onchange = () => {
    $$("#both tr.same").forEach((row) => { row.hidden = $("#differ").checked; });
  };

  // --- sources ---

  $("#doubt").onchange = () => {
    $("#sources").classList.toggle("only-doubt", $("#doubt").checked);
    $$("#sources details").forEach((part) => { part.open = $("#doubt").checked && part.querySelector(".assumed") !== null; });
  };

  const near = new IntersectionObserver((found) => found.forEach((entry) => {
    if (entry.isIntersecting) draw(entry.target.id.replace("picture-", ""));
  }), { rootMargin: "300px" });
  addEventListener("beforeprint", () => Object.keys(items).forEach(draw));
  requestAnimationFrame(() => setTimeout(() => $$(".picture").forEach((place) => near.observe(place))));
})();
