(() => {
const all = (what, from = document) => [...from.querySelectorAll(what)];
const forms = all(".filter"), tables = all(".board"), state = {sort: "", kind: "", q: ""};
const low = cell => cell.textContent.trim().toLowerCase();
const value = (cell, told = cell.dataset.v) =>
told === undefined ? low(cell) : told === "" ? null : +told;
const show = () => tables.forEach((table, place) => {
const rows = [...table.tBodies[0].rows], form = forms[place], {sort, kind, q} = state;
const way = sort[0] === "-" ? -1 : 1, name = sort.replace("-", "") || "rank";
all("th[data-s]", table).forEach((head, at) => {
head.ariaSort = head.dataset.s === name ? way > 0 ? "ascending" : "descending" : null;
if (head.ariaSort)
rows.map(row => [value(row.cells[at]), row]).sort(([a, x], [b, y]) =>
(a === null) - (b === null) || (a > b) * way - (a < b) * way || x.first - y.first
).forEach(pair => table.tBodies[0].append(pair[1]));
});
let seen = 0;
for (const row of rows) {
row.hidden = kind && row.dataset.k !== kind || !low(row.cells[1]).includes(q.toLowerCase());
seen += !row.hidden;
}
form.q.value = q;
form.kind.value = kind;
form.seen.value = `${seen} of ${rows.length} rows`;
});
const change = more => {
Object.assign(state, more);
history.replaceState(null, "", "#" + new URLSearchParams(Object.entries(state).filter(pair => pair[1])));
show();
};
const read = () => {
const told = new URLSearchParams(location.hash.slice(1));
if (location.hash.includes("=")) for (const name in state) state[name] = told.get(name) || "";
show();
};
for (const table of tables) {
[...table.tBodies[0].rows].forEach((row, place) => row.first = place);
for (const head of all("th[data-s]", table)) {
const button = document.createElement("button"), {s, d = ""} = head.dataset;
button.append(...head.childNodes);
head.append(button);
button.onclick = () => {
const now = head.ariaSort;
change({sort: (now === "ascending" ? "-" : now ? "" : d) + s});
};
}
}
for (const form of forms) {
form.hidden = false;
form.oninput = () => change({q: form.q.value, kind: form.kind.value});
form.onsubmit = () => false;
}
onhashchange = read;
read();
})();
