// The first page's picture in motion: neurons and risk of SGD on the ODE's curves.
// The numbers come from the directive {moving}, which reads what the figure "idea" has published.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const SECONDS = 7; // for one dimension
  const [W, H, LEFT, BOTTOM, EDGE] = [340, 290, 62, 44, 10];
  const digits = (x) => (x < 1 ? x.toPrecision(1) : x < 100 ? x.toPrecision(2) : x.toFixed(0));
  const power = (e) => "10" + (e < 0 ? "⁻" : "") + [...String(Math.abs(e))].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[+c]).join("");

  function make(tag, attributes = {}, children = [], space = SVG) {
    const node = space ? document.createElementNS(space, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...[children].flat());
    return node;
  }
  const element = (tag, attributes, children) => make(tag, attributes, children, null);

  // Axes from (x0, y0) to (x1, y1) with ticks [value, text]; returns the picture and its two scales.
  function axes(label, [x0, x1], [y0, y1], xTicks, yTicks, xLabel, yLabel) {
    const X = (x) => LEFT + ((x - x0) / (x1 - x0)) * (W - LEFT - EDGE);
    const Y = (y) => EDGE + ((y1 - y) / (y1 - y0)) * (H - EDGE - BOTTOM);
    const svg = make("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label});
    for (const [x, text] of xTicks) {
      svg.append(make("line", {x1: X(x), x2: X(x), y1: EDGE, y2: H - BOTTOM, class: "moving-grid"}));
      svg.append(make("text", {x: X(x), y: H - BOTTOM + 17, "text-anchor": "middle"}, text));
    }
    for (const [y, text] of yTicks) {
      svg.append(make("line", {x1: LEFT, x2: W - EDGE, y1: Y(y), y2: Y(y), class: "moving-grid"}));
      svg.append(make("text", {x: LEFT - 6, y: Y(y) + 4, "text-anchor": "end"}, text));
    }
    svg.append(make("text", {x: (LEFT + W - EDGE) / 2, y: H - 6, "text-anchor": "middle"}, xLabel));
    const middle = (H - BOTTOM) / 2;
    svg.append(make("text", {x: 13, y: middle, "text-anchor": "middle", transform: `rotate(-90 13 ${middle})`}, yLabel));
    return {svg, X, Y};
  }

  const joined = (points, X, Y) => points.map(([x, y]) => `${X(x).toFixed(1)},${Y(y).toFixed(1)}`).join(" ");

  function neuronView(data) {
    const all = [data.ode, ...data.sgd].flatMap((c) => c.neurons.flat());
    const low = Math.min(...all.flat()) - 0.05;
    const ticks = [-0.5, 0, 0.5, 1].filter((v) => v >= low).map((v) => [v, String(v)]);
    const {svg, X, Y} = axes("Neurons in the plane of their cosines with two targets", [low, 1.08], [low, 1.08], ticks, ticks,
      "cosine with target 1", "cosine with target 2");
    for (const [x, y, name] of [[1, 0, "target 1"], [0, 1, "target 2"]]) {
      svg.append(make("circle", {cx: X(x), cy: Y(y), r: 9, class: "moving-target"}));
      svg.append(make("text", x ? {x: W - EDGE, y: Y(y) + 26, "text-anchor": "end"} : {x: X(x) + 14, y: Y(y) + 5}, name));
    }
    for (const path of data.ode.neurons) svg.append(make("polyline", {points: joined(path, X, Y), class: "moving-ode"}));
    const trails = data.ode.neurons.map(() => svg.appendChild(make("polyline", {class: "moving-trail"})));
    const dots = data.ode.neurons.map(() => svg.appendChild(make("circle", {r: 4.5, class: "moving-neuron"})));
    const show = (run, frame) => run.neurons.forEach((path, i) => {
      trails[i].setAttribute("points", joined(path.slice(0, frame + 1), X, Y));
      dots[i].setAttribute("cx", X(path[frame][0]));
      dots[i].setAttribute("cy", Y(path[frame][1]));
    });
    return {svg, show};
  }

  function riskView(data) {
    const log = (curve) => curve.t.map((t, i) => [Math.log10(t), Math.log10(curve.risk[i])]).slice(1);
    const ode = log(data.ode);
    const values = [data.ode, ...data.sgd].flatMap(log).map(([, y]) => y);
    const [y0, y1] = [Math.min(...values) - 0.1, Math.max(...values) + 0.2];
    const [x0, x1] = [ode[0][0], ode.at(-1)[0]];
    const whole = (a, b) => Array.from({length: Math.floor(b) - Math.ceil(a) + 1}, (_, i) => Math.ceil(a) + i).map((e) => [e, power(e)]);
    const {svg, X, Y} = axes("Excess risk against time, both logarithmic", [x0, x1], [y0, y1], whole(x0, x1), whole(y0, y1),
      "time t", "excess risk R − Δ/2");
    svg.append(make("polyline", {points: joined(ode, X, Y), class: "moving-ode"}));
    // What the lines are called, where no curve comes.
    const right = W - EDGE - 118, name = make("text", {x: right + 30, y: EDGE + 39});
    svg.append(make("line", {x1: right, x2: right + 24, y1: EDGE + 14, y2: EDGE + 14, class: "moving-ode"}),
      make("text", {x: right + 30, y: EDGE + 19}, "the ODE"),
      make("circle", {cx: right + 12, cy: EDGE + 34, r: 3.4, class: "moving-sgd"}), name);
    const marks = svg.appendChild(make("g"));
    const show = (run, frame) => {
      name.textContent = `SGD, d = ${run.d.toLocaleString("en")}`;
      marks.replaceChildren(...log(run).slice(0, frame).filter((_, i) => i % 3 === 0)
        .map(([x, y]) => make("circle", {cx: X(x), cy: Y(y), r: 3.4, class: "moving-sgd"})));
    };
    return {svg, show};
  }

  function start(host) {
    const data = JSON.parse(host.querySelector("script").textContent);
    const views = [neuronView(data), riskView(data)];
    const last = data.ode.t.length - 1;
    let [chosen, frame, playing, before] = [0, 0, false, 0];
    const play = element("button", {type: "button"});
    const time = element("input", {type: "range", min: 0, max: last, value: 0, "aria-label": "time"});
    const status = element("span", {class: "moving-status"});
    const choices = data.sgd.map((run, i) => {
      const button = element("button", {type: "button"}, `d = ${run.d.toLocaleString("en")}`);
      button.addEventListener("click", () => { chosen = i; run_(true); });
      return button;
    });
    function draw() {
      const run = data.sgd[chosen];
      const now = Math.min(Math.floor(frame), run.t.length - 1);
      views.forEach((view) => view.show(run, now));
      choices.forEach((button, i) => button.setAttribute("aria-pressed", String(i === chosen)));
      play.textContent = playing ? "Pause" : "Play";
      time.value = now;
      time.setAttribute("aria-valuetext", `t = ${digits(run.t[now])}`);
      status.textContent = `t = ${digits(run.t[now])}`;
    }
    function step(moment) {
      if (!playing) return;
      // The moment of a frame may lie before that of the click that started it.
      frame += (Math.min(Math.max(moment - before, 0), 100) / 1000) * (last / SECONDS);
      before = moment;
      if (frame >= last) {
        if (chosen < data.sgd.length - 1) [chosen, frame] = [chosen + 1, 0];
        else [frame, playing] = [last, false];
      }
      draw();
      requestAnimationFrame(step);
    }
    function run_(again) {
      if (again || frame >= last) frame = 0;
      const was = playing;
      playing = true;
      before = performance.now();
      draw();
      if (!was) requestAnimationFrame(step);
    }
    play.addEventListener("click", () => {
      if (playing) { playing = false; draw(); return; }
      if (frame >= last) chosen = 0;
      run_(false);
    });
    time.addEventListener("input", () => { playing = false; frame = +time.value; draw(); });
    const controls = element("div", {class: "moving-controls"}, [play, ...choices, time, status]);
    host.replaceChildren(element("div", {class: "moving-views"}, views.map((v) => v.svg)), controls);
    draw();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { [chosen, frame] = [0, last]; draw(); } else run_(true);
  }

  document.querySelectorAll(".moving").forEach(start);
})();
