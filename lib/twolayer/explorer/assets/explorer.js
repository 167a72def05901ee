// The explorer's front end, the same in a notebook, on a page and with Python in the browser.
// It draws answers of `twolayer.explorer.compute` and asks a backend for new ones:
//   backend.compute(request, progress, show) → promise of an answer, before which `show` is
//   called with a first, less accurate one;  backend.cancel()

const SVG = "http://www.w3.org/2000/svg";
const DIGITS = (x) => (x === 0 ? "0" : Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5 ? x.toExponential(1) : String(+x.toPrecision(3)));
const CORNERS = [[150, 34], [26, 236], [274, 236]]; // gradient flow, high dimension, mean field

function make(tag, attributes = {}, children = []) {
  const svg = ["svg", "g", "path", "polyline", "polygon", "line", "circle", "rect", "text", "title"];
  const node = svg.includes(tag) && tag !== "label" ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...[children].flat());
  return node;
}

function picture(width, height, label, children) {
  const attributes = {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "tlx-picture"};
  return make("svg", attributes, children);
}

const text = (x, y, content, more = {}) => make("text", {x, y, ...more}, content);

// --- pictures -------------------------------------------------------------------------------

const numbers = ({learning_rate: rate, d, p}) => `γ = ${DIGITS(rate)}, d = ${d}, p = ${p}`;

// `before`, if there is one, is the answer that was shown until now: its first curve stays, pale.
function riskPicture(answer, before) {
  const [W, H, left, right, top, bottom] = [460, 330, 58, 12, 12, 46];
  const series = answer.curves.map((curve) => ({...curve, t: answer.t}));
  const band = answer.sgd;
  const values = series.flatMap((c) => c.excess_risk.slice(1)).concat(band ? band.median.slice(1) : []);
  const positive = values.filter((v) => v > 1e-17);
  if (!positive.length) return picture(W, H, "No curve.", []);
  const t0 = Math.log10(answer.t[1]), t1 = Math.log10(answer.t.at(-1));
  let y1 = Math.log10(Math.max(...positive)) + 0.15;
  let y0 = Math.max(Math.log10(Math.min(...positive)) - 0.15, y1 - 9);
  const X = (t) => left + ((Math.log10(t) - t0) / (t1 - t0)) * (W - left - right);
  const Y = (v) => top + ((y1 - Math.max(Math.log10(Math.max(v, 1e-30)), y0)) / (y1 - y0)) * (H - top - bottom);
  const parts = [];
  for (let e = Math.ceil(t0); e <= t1; e++) {
    const x = X(10 ** e);
    parts.push(make("line", {x1: x, x2: x, y1: top, y2: H - bottom, class: "tlx-grid"}));
    parts.push(text(x, H - bottom + 18, power(e), {"text-anchor": "middle"}));
  }
  const every = Math.ceil((y1 - y0) / 7);
  for (let e = Math.ceil(y0); e <= y1; e += every) {
    const y = Y(10 ** e);
    parts.push(make("line", {x1: left, x2: W - right, y1: y, y2: y, class: "tlx-grid"}));
    parts.push(text(left - 6, y + 4, power(e), {"text-anchor": "end"}));
  }
  parts.push(text((left + W - right) / 2, H - 8, "time t = steps · γ/(p d)", {"text-anchor": "middle"}));
  parts.push(text(14, H / 2 - 10, "excess risk R − Δ/2", {"text-anchor": "middle", transform: `rotate(-90 14 ${H / 2 - 10})`}));
  const line = (t, v) => t.map((x, i) => [x, v[i]]).filter(([x, y]) => x > 0 && y !== undefined).map(([x, y]) => `${X(x).toFixed(1)},${Y(y).toFixed(1)}`);
  if (band) {
    const shape = line(band.t, band.high).concat(line(band.t, band.low).reverse());
    if (shape.length) parts.push(make("polygon", {points: shape.join(" "), class: "tlx-band"}));
    line(band.t, band.median).forEach((p, i) => {
      const [cx, cy] = p.split(",");
      if (i % 3 === 0) parts.push(make("circle", {cx, cy, r: 2.6, class: "tlx-sgd"}));
    });
  }
  if (before) {
    const [top_, low] = [10 ** y1, 10 ** y0], old = before.curves[0].excess_risk;
    const seen = before.t.map((t, i) => [t, old[i]]).filter(([t, v]) => t >= answer.t[1] && t <= answer.t.at(-1) && v >= low && v <= top_);
    if (seen.length > 1) parts.push(make("polyline", {points: line(...[0, 1].map((n) => seen.map((pair) => pair[n]))).join(" "), class: "tlx-ghost"}));
  }
  series.forEach((curve) =>
    parts.push(make("polyline", {points: line(curve.t, curve.excess_risk).join(" "), class: "tlx-curve", "data-theory": curve.theory})));
  parts.push(make("line", {x1: 0, x2: 0, y1: top, y2: H - bottom, class: "tlx-now"}));
  const last = series.map((c) => `${c.label} ends at ${DIGITS(c.excess_risk.at(-1))}`).join(", ");
  const svg = picture(W, H, `Excess risk against time, both logarithmic: ${last || "SGD only"}.`, parts);
  svg.showTime = (t) => {
    const mark = svg.querySelector(".tlx-now");
    for (const side of ["x1", "x2"]) mark.setAttribute(side, t > 0 ? X(t) : left);
  };
  return svg;
}

function power(e) {
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  return "10" + (e < 0 ? "⁻" : "") + String(Math.abs(e)).split("").map((d) => digits[+d]).join("");
}

function legend(answer, before) {
  const items = answer.curves.map((c) => [make("svg", {viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true"},
    make("line", {x1: 1, x2: 25, y1: 5, y2: 5, class: "tlx-curve", "data-key": c.theory})), " " + c.label]);
  if (answer.sgd) items.push([make("svg", {viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true"},
    [make("rect", {x: 0, y: 0, width: 26, height: 10, class: "tlx-band"}), make("circle", {cx: 13, cy: 5, r: 2.6, class: "tlx-sgd"})]),
    ` SGD, ${answer.request.runs} runs (median, central 68 %)`]);
  if (before) items.push([make("svg", {viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true"},
    make("line", {x1: 1, x2: 25, y1: 5, y2: 5, class: "tlx-ghost"})), ` before: ${before.curves[0].label} at ${numbers(before.request)}`]);
  return make("ul", {class: "tlx-legend"}, items.map((item) => make("li", {}, item)));
}

function cosines(answer, frame) {
  return answer.M[frame].map((row, j) => row.map((m, r) => m / Math.sqrt(Math.max(answer.Q[frame][j][j] * answer.P[r][r], 1e-300))));
}

function neuronsPicture(answer, frame) {
  const S = 250, c = S / 2, R = S / 2 - 22, k = answer.P.length;
  const at = ([x, y]) => [c + R * x, c - R * (y ?? 0)];
  const parts = [make("circle", {cx: c, cy: c, r: R, class: "tlx-axis"}),
    make("line", {x1: c - R, x2: c + R, y1: c, y2: c, class: "tlx-grid"}), make("line", {x1: c, x2: c, y1: c - R, y2: c + R, class: "tlx-grid"}),
    text(c + R - 2, c + 15, "target 1", {"text-anchor": "end"})];
  if (k > 1) parts.push(text(c + 4, c - R + 12, "target 2"));
  const now = cosines(answer, frame), frames = answer.M.map((_, f) => cosines(answer, f));
  now.forEach((row, j) => {
    const path = frames.slice(0, frame + 1).map((f) => at(f[j]).map((v) => v.toFixed(1)).join(","));
    parts.push(make("polyline", {points: path.join(" "), class: "tlx-path"}));
  });
  now.forEach((row) => {
    const [x, y] = at(row);
    parts.push(make("circle", {cx: x.toFixed(1), cy: y.toFixed(1), r: 4, class: k > 1 && row[1] > row[0] ? "tlx-neuron tlx-second" : "tlx-neuron"}));
  });
  const near = now.filter((row) => Math.max(...row.map(Math.abs)) > 0.9).length;
  return picture(S, S, `Neurons in the plane of ${k > 1 ? "two targets" : "the target"} by their cosines: ${near} of ${now.length} within 0.9 of a target.`, parts);
}

function heatPicture(name, matrix, label) {
  const rows = matrix.length, columns = matrix[0].length, S = 190, cell = Math.min(S / rows, (S / columns));
  const largest = Math.max(...matrix.flat().map(Math.abs), 1e-12);
  const parts = [];
  matrix.forEach((row, i) => row.forEach((v, j) => {
    const attributes = {x: (j * cell).toFixed(2), y: (i * cell).toFixed(2), width: cell.toFixed(2), height: cell.toFixed(2),
      class: v < 0 ? "tlx-cold" : "tlx-warm", "fill-opacity": (Math.abs(v) / largest).toFixed(3)};
    parts.push(make("rect", attributes, make("title", {}, `${name}[${i + 1}, ${j + 1}] = ${DIGITS(v)}`)));
  }));
  parts.push(make("rect", {x: 0, y: 0, width: columns * cell, height: rows * cell, class: "tlx-axis"}));
  const image = picture(S, rows * cell, `${label}, ${rows} by ${columns}, largest entry ${DIGITS(largest)}.`, parts);
  return make("div", {}, [image, make("div", {class: "tlx-small"}, `${name}, up to ${DIGITS(largest)}`)]);
}

// What decides which description will do: the size of each term, and the line below which it is small.
function sizesPicture(scales) {
  const sizes = [["variance term over drift", scales.variance], ["fluctuations √(γ/pd)", scales.fluctuations], ["1/√p", scales.finite_p], ["1/√d", scales.finite_d]];
  const [W, left, step] = [460, 190, 24], X = (v) => left + ((Math.log10(Math.min(Math.max(v, 1e-3), 10)) + 3) / 4) * (W - left - 50);
  const parts = sizes.flatMap(([name, value], n) => [text(left - 8, 18 + n * step, name, {"text-anchor": "end"}),
    make("rect", {x: left, y: 8 + n * step, width: Math.max(X(value) - left, 1), height: 13, class: value < 0.1 ? "tlx-cold" : "tlx-warm"}),
    text(X(value) + 5, 18 + n * step, DIGITS(value))]);
  parts.unshift(make("line", {x1: X(0.1), x2: X(0.1), y1: 2, y2: 4 * step + 4, class: "tlx-now"}));
  return picture(W, 4 * step + 8, `Sizes, of which those below 0.1 are small: ${sizes.map(([name, value]) => `${name} ${DIGITS(value)}`).join(", ")}.`, parts);
}

// --- the triangle ---------------------------------------------------------------------------

// `points`: answers by place, whose regimes tint the triangle.
function triangle(steps, onMove, points = {}) {
  const place = ([a, b, c]) => [0, 1].map((n) => a * CORNERS[0][n] + b * CORNERS[1][n] + c * CORNERS[2][n]);
  const words = ["gradient flow", "high-dimensional", "mean field"];
  const point = make("circle", {r: 10, class: "tlx-point", tabindex: 0, role: "slider", "aria-label":
    "Point in the triangle of limits. Up: towards gradient flow, left: high dimension, right: mean field.",
    "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0});
  const svg = make("svg", {viewBox: "0 0 300 268", class: "tlx-picture tlx-triangle", role: "group", "aria-label": "Triangle of limits"}, [
    make("polygon", {points: CORNERS.join(" "), class: "tlx-area"}),
    ...Object.entries(points).map(([at, {scales}]) => {
      const [i, j] = at.split(",").map(Number), [cx, cy] = place([i, j, steps - i - j].map((n) => n / steps));
      return make("circle", {cx, cy, r: 7, class: "tlx-at", "data-regime": scales.regime}, make("title", {}, scales.regime));
    }),
    text(150, 20, `${words[0]}, γ → 0`, {"text-anchor": "middle"}), text(0, 256, `${words[1]}, d → ∞`), text(300, 256, `${words[2]}, p → ∞`, {"text-anchor": "end"}),
    point]);
  let grid = [0, 0, steps];
  const show = (weights, words) => {
    grid = nearest(weights, steps);
    const [x, y] = place(weights);
    point.setAttribute("cx", x);
    point.setAttribute("cy", y);
    point.setAttribute("aria-valuenow", Math.round(100 * weights[0]));
    point.setAttribute("aria-valuetext", words);
  };
  const move = (next) => {
    if (next.some((n) => n < 0) || String(next) === String(grid)) return;
    grid = next;
    onMove(next.map((n) => n / steps), next);
  };
  const drag = (event) => {
    const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const height = CORNERS[1][1] - CORNERS[0][1], width = CORNERS[2][0] - CORNERS[1][0];
    const a = (CORNERS[1][1] - spot.y) / height, middle = (spot.x - CORNERS[0][0]) / width;
    move(nearest([a, (1 - a) / 2 - middle, (1 - a) / 2 + middle], steps));
  };
  let held = false;
  svg.addEventListener("pointerdown", (event) => { held = true; svg.setPointerCapture(event.pointerId); point.focus({preventScroll: true}); drag(event); event.preventDefault(); });
  svg.addEventListener("pointermove", (event) => held && drag(event));
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (held = false));
  point.addEventListener("keydown", (event) => {
    const [i, j, l] = grid, more = j >= l;
    const next = {ArrowUp: more ? [i + 1, j - 1, l] : [i + 1, j, l - 1], ArrowDown: more ? [i - 1, j, l + 1] : [i - 1, j + 1, l],
      ArrowLeft: [i, j + 1, l - 1], ArrowRight: [i, j - 1, l + 1]}[event.key];
    if (next) { event.preventDefault(); move(next); }
  });
  return {svg, show};
}

function nearest(weights, steps) {
  const positive = weights.map((w) => Math.max(w, 0)), total = positive.reduce((x, y) => x + y) || 1;
  const exact = positive.map((w) => (w / total) * steps), whole = exact.map(Math.floor);
  const order = [0, 1, 2].sort((x, y) => exact[y] - whole[y] - (exact[x] - whole[x]));
  for (let n = 0, left = steps - whole.reduce((x, y) => x + y); n < left; n++) whole[order[n]]++;
  return whole;
}

// --- the form -------------------------------------------------------------------------------

const NUMBERS = [["k", "targets k", 1], ["p", "students p", 1], ["d", "dimension d", 1], ["learning_rate", "learning rate γ", "any"],
  ["noise", "label noise Δ", "any"], ["seed", "seed", 1], ["t_max", "last time", "any"], ["runs", "SGD runs (0: off)", 1]];

function form(info, onChange, onPreset) {
  const inputs = {};
  const field = (label, control) => make("label", {class: "tlx-field"}, [make("span", {}, label), control]);
  const select = (options) => make("select", {onchange: onChange}, Object.entries(options).map(([value, words]) => make("option", {value}, words)));
  inputs.activation = select(info.activations);
  inputs.start = select(info.starts);
  for (const [name, , step] of NUMBERS) inputs[name] = make("input", {type: "number", step, min: 0, onchange: onChange});
  const presets = make("select", {onchange: (event) => event.target.value && onPreset(event.target.value)},
    [make("option", {value: ""}, "choose"), ...Object.entries(info.presets).map(([value, [title]]) => make("option", {value}, `${value}: ${title}`))]);
  const boxes = Object.entries(info.theories).map(([value, words]) => [make("input", {type: "checkbox", value, onchange: onChange}), words]);
  const node = make("fieldset", {class: "tlx-form"}, [make("legend", {}, "Parameters"), field("activation", inputs.activation),
    ...NUMBERS.map(([name, label]) => field(label, inputs[name])), field("initial law", inputs.start),
    make("fieldset", {class: "tlx-theories"}, [make("legend", {}, "Theories and terms of the flow"), ...boxes.map(([box, words]) => make("label", {}, [box, " " + words]))])]);
  return {
    node,
    presets: field("figure of the paper", presets), // also where nothing is computed here
    write(request) {
      for (const [name, input] of Object.entries(inputs)) input.value = request[name];
      for (const [box] of boxes) box.checked = request.theories.includes(box.value);
    },
    read() {
      const request = {};
      for (const [name, input] of Object.entries(inputs)) request[name] = input.type === "number" ? Number(input.value) : input.value;
      request.theories = boxes.filter(([box]) => box.checked).map(([box]) => box.value);
      return request;
    },
  };
}

// --- all of it ------------------------------------------------------------------------------

// info: activations, starts, theories, presets;  grid: the precomputed triangle, or null;
// backend: null until there is one;  live: {label, load(progress) → promise of a backend}, or null
// address: whether the page's address holds what is shown
function mount(root, {info, grid = null, answer = null, backend = null, live = null, state = "ready", address = false}) {
  root.classList.add("tlx");
  root.replaceChildren();
  let current = answer, previous = null, frame = null, ticket = 0, timer = null, noted = null;
  const steps = grid ? grid.resolution : 16;
  const status = make("p", {class: "tlx-status", role: "status", "aria-live": "polite"});
  const bar = make("progress", {max: 1, value: 0, "aria-label": "progress", hidden: true});
  const views = make("div", {class: "tlx-views"});
  const sentence = make("p", {class: "tlx-sentence"}), sizes = make("div");
  const slider = make("input", {type: "range", min: 0, max: 1, value: 1, step: 1, oninput: () => { frame = +slider.value; showFrame(); }});
  const clock = make("output", {});
  const copy = make("button", {type: "button", onclick: copyCall}, "Copy the Python call");
  const cancel = make("button", {type: "button", hidden: true, onclick: () => { ticket++; backend.cancel(); say("Cancelled; the picture is the last finished one.", "ready"); }}, "Cancel");
  const start = make("button", {type: "button", class: "tlx-live", hidden: !live, onclick: load}, live ? live.label : "");
  const controls = form(info, () => later(controls.read()), (name) => {
    const known = grid?.presets?.[name];
    if (known) draw(known);
    later(info.presets[name][1], 0);
  });
  const map = triangle(steps, (weights, whole) => {
    const known = grid && grid.points[`${whole[0]},${whole[1]}`], request = {...controls.read(), triangle: weights};
    if (known) draw(known); // at once, also where it will be computed
    if (known && !backend) return;
    map.show(weights, "computing");
    later(request);
  }, grid ? grid.points : {});
  const risk = make("div"), neurons = make("div"), heat = make("div", {class: "tlx-heat"}), key = make("div");
  const captioned = (words, ...parts) => make("figure", {}, [make("figcaption", {}, words), ...parts]);
  views.append(captioned("Neurons: cosines with two targets", neurons), captioned("Overlaps: orange above zero, blue below", heat));
  root.append(make("div", {class: "tlx-top"}, [make("figure", {}, map.svg), make("figure", {}, [risk, key])]), sentence, sizes,
    make("label", {class: "tlx-time"}, [make("span", {}, "time of the overlaps"), slider, clock]), views,
    make("div", {class: "tlx-buttons"}, [start, cancel, copy, status, bar]), controls.presets, controls.node);

  function say(words, name) {
    status.textContent = words;
    root.dataset.state = name;
    const busy = name === "computing" || name === "loading";
    bar.hidden = !busy;
    cancel.hidden = name !== "computing";
    controls.node.disabled = !backend;
    start.hidden = !live || !!backend || name === "loading";
  }

  function draw(next) {
    const same = current && current.frames.length === next.frames.length;
    if (current !== next && current?.curves.length && numbers(current.request) !== numbers(next.request)) previous = current;
    current = next;
    if (!same || frame === null) frame = next.frames.length - 1;
    slider.max = next.frames.length - 1;
    slider.value = frame;
    risk.replaceChildren(riskPicture(next, previous));
    key.replaceChildren(legend(next, previous));
    controls.write(next.request);
    map.show(next.triangle, numbers(next.request));
    const s = next.scales;
    sentence.textContent = `${numbers(next.request)}. ${s.regime}: the smallest description that will do is ${s.description}. ${next.notes.join(" ")}`;
    sizes.replaceChildren(sizesPicture(s));
    showFrame();
    if (address) { clearTimeout(noted); noted = setTimeout(note, 300); }
  }

  // The address holds what is shown: a point of the triangle, or a whole request.
  function note() {
    const name = (all = {}) => Object.keys(all).find((each) => all[each] === current);
    const [at, figure] = [name(grid?.points), name(grid?.presets)];
    const hash = at ? ["at", at] : figure ? ["figure", figure] : ["ask", JSON.stringify(current.request)];
    try { history.replaceState(null, "", `#${hash[0]}=${encodeURIComponent(hash[1])}`); } catch { /* a page from a file, or too often */ }
  }

  function noteAsked() {
    try {
      const [, name, text] = location.hash.match(/^#(at|figure|ask)=(.*)$/) ?? [], value = decodeURIComponent(text ?? "");
      return name === "ask" ? {request: JSON.parse(value)} : {point: {at: grid?.points, figure: grid?.presets}[name]?.[value]};
    } catch { return {}; }
  }

  function showFrame() {
    const t = current.t[current.frames[frame]];
    clock.textContent = `t = ${DIGITS(t)}`;
    slider.setAttribute("aria-valuetext", `t = ${DIGITS(t)}`);
    risk.firstChild.showTime?.(t);
    neurons.replaceChildren(neuronsPicture(current, frame));
    const n = current.M[frame].length, first = n < current.request.p ? `, first ${n} neurons` : "";
    heat.replaceChildren(heatPicture(`Q${first}`, current.Q[frame], "Overlaps Q of students with students"),
      heatPicture(`M${first}`, current.M[frame], "Overlaps M of students with targets"));
  }

  function later(request, delay = 30) {
    if (!backend) return;
    clearTimeout(timer);
    timer = setTimeout(() => run(request), delay);
  }

  async function run(request) {
    const mine = ++ticket, began = performance.now();
    say("Computing …", "computing");
    bar.removeAttribute("value");
    try {
      const next = await backend.compute(request, (share, words) => {
        if (mine !== ticket) return;
        bar.value = share;
        status.textContent = `Computing: ${words}, ${Math.round(100 * share)} %`;
      }, (first) => { if (mine === ticket) draw(first); });
      if (mine !== ticket) return;
      draw(next);
      say(`Ready. Computed in ${((performance.now() - began) / 1000).toFixed(2)} s.`, "ready");
      root.dispatchEvent(new CustomEvent("tlx-answer", {detail: next}));
    } catch (error) {
      if (mine === ticket) say(`Failed: ${error.message}`, "failed");
    }
  }

  async function load() {
    say("Loading …", "loading");
    bar.removeAttribute("value");
    try {
      backend = await live.load((share, words) => {
        if (root.dataset.state !== "loading") return;  // begun again after a cancellation
        bar.value = share;
        status.textContent = `Loading: ${words}`;
      });
      say("Ready: the package runs in this page. Change a parameter or drag the point.", "ready");
      // The limit p = ∞ takes a minute without a compiler: only if it is asked for.
      if (asked.request) return run(asked.request);
      const theories = current.request.theories.filter((name) => name !== "mean-field-limit");
      run({...current.request, theories: theories.length ? theories : ["full"], runs: 0});
    } catch (error) {
      say(`Failed: ${error.message}`, "failed");
    }
  }

  async function copyCall() {
    const call = current.call;
    try {
      await navigator.clipboard.writeText(call);
      say("The Python call is in the clipboard.", root.dataset.state);
    } catch {
      const area = make("textarea", {readonly: true, rows: 8, "aria-label": "Python call"});
      area.value = call;
      root.querySelector("textarea")?.remove();
      root.append(area);
      area.select();
      say("Select and copy the Python call below.", root.dataset.state);
    }
  }

  const asked = address ? noteAsked() : {};
  if (asked.point) current = asked.point;
  if (!current && grid) {
    const [i, j] = nearest([1 / 3, 1 / 3, 1 / 3], steps);
    current = grid.points[`${i},${j}`];
  }
  if (current) draw(current);
  say(asked.request && live ? `This address asks for more than the triangle holds. ${live.label} computes it.` : live ? live.note : state === "ready" ? "Ready." : "A picture without a kernel: run the notebook to change it.", live ? "not loaded" : state);
  return {draw, run, show: (at) => draw(grid.points[at]), current: () => current, connect(found) { backend = found; say("Ready.", "ready"); if (!current) run({}); }};
}

// --- in a notebook: the kernel computes -----------------------------------------------------

function render({model, el}) {
  const waiting = new Map();
  let number = 0;
  const backend = {
    compute(request, progress, show) {
      const id = ++number;
      model.send({type: "compute", id, request});
      return new Promise((resolve, reject) => waiting.set(id, {resolve, reject, progress, show}));
    },
    cancel() { model.send({type: "cancel"}); },
  };
  const root = make("div");
  el.append(root);
  const answer = model.get("answer");
  const view = mount(root, {info: model.get("info"), answer: answer && answer.t ? answer : null, state: "no kernel"});
  const hear = (message) => {
    if (message.type === "hello") return view.connect(backend);
    const one = waiting.get(message.id);
    if (!one) return;
    if (message.type === "progress") return one.progress(message.share, message.words);
    if (message.type === "first") return one.show(message.answer);
    waiting.delete(message.id);
    if (message.type === "answer") one.resolve(message.answer);
    else one.reject(new Error(message.reason));
  };
  model.on("msg:custom", hear);
  model.send({type: "hello"});
  return () => model.off("msg:custom", hear);
}

export default {render, mount};
