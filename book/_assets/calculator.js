// "Which regime am I in?": looks up what the package said when the book was built.
for (const box of document.querySelectorAll(".calculator")) {
  const told = JSON.parse(box.querySelector("script").textContent);
  const inputs = [...box.querySelectorAll("input")], outputs = [...box.querySelectorAll("output")];
  const raised = (power) => power.replace("-", "⁻").replace(/\d/g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
  const digits = (x) => (x >= 0.01 && x < 1e4 ? String(+x.toPrecision(2)) : x.toExponential(1).replace(/e\+?(-?\d+)/, (_, power) => ` · 10${raised(power)}`));
  const show = () => {
    const at = inputs.map((input) => +input.value);
    const [d, p, rate, noise] = at.map((index, which) => told.values[which][index]);
    [d, p, rate, noise].forEach((value, which) => {
      outputs[which].textContent = value.toLocaleString("en");
      inputs[which].setAttribute("aria-valuetext", outputs[which].textContent);
    });
    const sizes = [Math.sqrt(rate / (p * d)), rate * told.variance[at[3]][at[1]], 1 / Math.sqrt(p), 1 / Math.sqrt(d)];
    // On the boundary itself as `regimes.describe` has it.
    const small = sizes.map((size, which) => size < told.small || (which < 2 && size === told.small));
    const key = small.map(Number).join("") + +(noise > 0);
    const dominated = small[0] && sizes[1] >= 1 / told.small;
    const [regime, description] = dominated ? told.dominated : told.names[key];
    const answer = box.querySelector(".calculator-answer");
    answer.textContent = "";
    const name = document.createElement("strong"), call = document.createElement("code");
    name.textContent = regime;
    call.textContent = description;
    answer.append(name, ": ", call);
    const words = ["SGD strays from the ODE by √(γ/(pd))", "the variance term over the drift", "the mean field is off by 1/√p", "directions are orthogonal to 1/√d"];
    const lines = words.map((word, which) => `${word}: ${digits(sizes[which])}${small[which] ? ", small" : ""}`);
    if (noise > 0) lines.push(`plateau of the noise: ${digits(rate * told.plateau[at[3]][at[1]])}`);
    box.querySelector(".calculator-sizes").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
    const weights = [Math.max(0, -Math.log(rate)), Math.max(0, Math.log(d)), Math.max(0, Math.log(p / 2))];
    const total = weights.reduce((sum, weight) => sum + weight, 0) || 1;
    const place = (axis) => told.corners.reduce((sum, corner, which) => sum + (total === 1 ? 1 / 3 : weights[which] / total) * corner[axis], 0);
    const point = box.querySelector("circle");
    point.setAttribute("cx", place(0).toFixed(1));
    point.setAttribute("cy", place(1).toFixed(1));
  };
  inputs.forEach((input) => input.addEventListener("input", show));
  show();
}
