(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("frames").textContent);
  const slider = document.getElementById("size");
  const shown = document.getElementById("size-shown");
  const cases = [...document.querySelectorAll(".case")];
  document.querySelectorAll("[data-picture]").forEach((at) => { data.pictures[at.dataset.picture] ??= at.src; });
  const put = (root, selector, text) => { const at = root.querySelector(selector); if (at) at.textContent = text; };
  const picture = (root, selector, index) => {
    const at = root.querySelector(selector);
    if (at && index !== null) { at.src = data.pictures[index]; at.dataset.picture = index; }
  };
  const show = (position) => {
    const words = "at most " + data.sizes[position].label;
    shown.textContent = words;
    slider.setAttribute("aria-valuetext", words);
    cases.forEach((root, i) => {
      const frame = data.cases[i].frames[data.cases[i].positions[position]];
      picture(root, ".perturbation", frame.perturbation);
      picture(root, ".adversarial", frame.adversarial);
      put(root, ".frame-size", frame.size);
      put(root, ".attack-name", frame.attack);
      put(root, ".amplified", "amplified " + frame.amplified + " times");
      const reading = root.querySelector(".after .reading");
      reading.className = "reading " + (frame.wrong ? "wrong" : "right");
      put(reading, "[aria-hidden]", frame.wrong ? "\u2717" : "\u2713");
      put(reading, "b", frame.read);
      put(reading, ".sure", frame.probability ? ", " + frame.probability : "");
      put(reading, ".hidden", frame.wrong ? " (wrong)" : " (right)");
      root.querySelectorAll(".bars tbody tr").forEach((row, k) => {
        const [after, text, state] = frame.bars[k];
        row.className = state;
        row.querySelector(".now i").style.width = (80 * after).toFixed(1) + "%";
        put(row, ".now span", text);
      });
    });
  };
  slider.addEventListener("input", () => show(Number(slider.value)));
  document.documentElement.classList.add("live");
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((part) => { part.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((part) => { part.open = false; }));
})();
