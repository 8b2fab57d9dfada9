(() => {
const all = (what, from = document) => [...from.querySelectorAll(what)];
const tables = all("table.board"), forms = all("form.filter");
const state = {sort: "", kind: "", q: ""};
const value = (row, at) => {
  const cell = row.cells[at], told = cell.dataset.v;
  return told === undefined ? cell.textContent.trim().toLowerCase() : told === "" ? null : +told;
};
const order = (a, b) => a === b ? 0 : a === null ? 1 : b === null ? -1 : (a < b ? -1 : 1);
const show = () => tables.forEach((table, place) => {
  const body = table.tBodies[0], rows = [...body.rows], q = state.q.toLowerCase();
  const down = state.sort[0] === "-", name = state.sort.replace("-", "") || "rank";
  let seen = 0;
  all("th[data-s]", table).forEach((head, at) => {
    if (head.dataset.s !== name) return head.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const known = rows.map(row => [value(row, at), row]);
    known.sort(([a, x], [b, y]) => (a === null || b === null || !down ? order(a, b) : order(b, a)) || x.first - y.first);
    known.forEach(([, row]) => body.append(row));
  });
  for (const row of rows) {
    row.hidden = (state.kind && row.dataset.k !== state.kind) || !row.cells[1].textContent.toLowerCase().includes(q);
    seen += !row.hidden;
  }
  const form = forms[place];
  form.q.value = state.q; form.kind.value = state.kind;
  form.querySelector("output").value = `${seen} of ${rows.length} rows`;
});
const change = more => {
  Object.assign(state, more);
  const told = new URLSearchParams(Object.entries(state).filter(pair => pair[1]));
  history.replaceState(null, "", `#${told}`);
  show();
};
const read = () => {
  const told = new URLSearchParams(location.hash.slice(1));
  if (location.hash.includes("=")) for (const name in state) state[name] = told.get(name) || "";
  show();
};
tables.forEach(table => {
  [...table.tBodies[0].rows].forEach((row, place) => row.first = place);
  all("th[data-s]", table).forEach(head => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.onclick = () => {
      const {s, d = ""} = head.dataset, now = head.getAttribute("aria-sort");
      change({sort: (now ? (now === "ascending" ? "-" : "") : d) + s});
    };
    head.append(button);
  });
});
forms.forEach(form => {
  form.hidden = false;
  form.oninput = () => change({q: form.q.value, kind: form.kind.value});
  form.onsubmit = event => event.preventDefault();
});
onhashchange = read;
read();
})();
