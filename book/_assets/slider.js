// A slider of the book: exchanges the paths of its curves.  All of them were computed when the book was built.
for (const box of document.querySelectorAll(".slider")) {
  const { paths, labels } = JSON.parse(box.querySelector("script").textContent);
  const curves = [...box.querySelectorAll("svg > path:not(.slider-grid)")];
  const input = box.querySelector("input"), output = box.querySelector("output");
  const show = () => {
    paths[input.value].forEach((path, number) => curves[number].setAttribute("d", path));
    output.textContent = labels[input.value];
    input.setAttribute("aria-valuetext", labels[input.value]);
  };
  input.addEventListener("input", show);
  show(); // a browser may remember where it stood
}
