// A slider of the book: exchanges the path of the curve that moves.  All of them were computed when the book was built.
for (const box of document.querySelectorAll(".slider")) {
  const { paths, labels } = JSON.parse(box.querySelector("script").textContent);
  const moved = box.querySelector("svg > .slider-1");
  const input = box.querySelector("input"), output = box.querySelector("output");
  const show = () => {
    moved.setAttribute("d", paths[input.value]);
    output.textContent = labels[input.value];
    input.setAttribute("aria-valuetext", labels[input.value]);
  };
  input.addEventListener("input", show);
  show(); // a browser may remember where it stood
}
