(() => {
  "use strict";
  const table = document.getElementById("all"), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const number = (text) => text === "never" ? Infinity : text === "" ? NaN : Number(text.replace(/,/g, ""));
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const place = new Map(rows.map((row, i) => [row, i]));
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const words = document.getElementById("words"), outcome = document.getElementById("outcome");
  const shown = document.getElementById("shown"), more = document.getElementById("more");
  const first = 500; // rows laid out at once: a browser takes seconds for ten thousand
  let order = rows, most = first;
  const show = () => {
    const wanted = words.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    order.forEach((row) => {
      const text = texts[place.get(row)];
      const fits = (!outcome.value || row.className === outcome.value) && wanted.every((word) => text.includes(word));
      count += fits;
      row.hidden = !fits || count > most;
    });
    const cut = count > most;
    shown.textContent = count.toLocaleString("en") + " of " + rows.length.toLocaleString("en") + " rows"
      + (cut ? ", the first " + most.toLocaleString("en") + " shown" : "");
    more.hidden = !cut;
  };
  const sort = (column, down) => {
    const isNumber = heads[column].dataset.number !== undefined;
    const key = new Map(rows.map((row) => {
      const text = row.cells[column].textContent;
      return [row, isNumber ? number(text) : text];
    }));
    const missing = (value) => isNumber ? Number.isNaN(value) : value === "";
    const sign = down ? -1 : 1;
    const ordered = [...rows].sort((a, b) => {
      const x = key.get(a), y = key.get(b);
      if (missing(x) || missing(y)) return missing(x) - missing(y) || place.get(a) - place.get(b);
      const way = isNumber ? (x < y ? -1 : x > y ? 1 : 0) : compare(x, y);
      return sign * way || place.get(a) - place.get(b);
    });
    order = ordered;
    body.remove();
    show();
    body.append(...ordered);
    table.append(body);
  };
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(i, down);
    });
  });
  const again = () => { most = first; show(); };
  let waiting = 0;
  words.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(again, 120); });
  outcome.addEventListener("change", again);
  more.addEventListener("click", () => { most = Infinity; show(); words.focus(); });
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  show();
  document.documentElement.classList.add("live");
})();
