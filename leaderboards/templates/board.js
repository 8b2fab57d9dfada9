{
const all = (what, from = document) => [...from.querySelectorAll(what)];
const forms = all(".filter"), tables = all(".board"), state = {sort: "", kind: "", q: ""};
const ranked = tables.map(table => [...table.tBodies[0].rows]);
const low = cell => cell.textContent.trim().toLowerCase();
const value = (cell, told = cell.dataset.v) =>
told === undefined ? low(cell) : told === "" ? null : +told;
const show = () => tables.forEach((table, place) => {
const rows = ranked[place], form = forms[place], {sort, kind, q} = state;
const way = sort[0] === "-" ? -1 : 1, name = sort.replace("-", "") || "rank";
all("th[data-s]", table).forEach((head, at) => {
head.ariaSort = head.dataset.s === name ? way > 0 ? "ascending" : "descending" : null;
if (head.ariaSort)
rows.map(row => [value(row.cells[at]), row]).sort(([a], [b]) =>
(a === null) - (b === null) || (a > b) * way - (a < b) * way
).forEach(pair => table.tBodies[0].append(pair[1]));
});
for (const row of rows) row.hidden = kind && row.dataset.k !== kind || !low(row.cells[1]).includes(q.toLowerCase());
form.q.value = q;
form.kind.value = kind;
form.seen.value = `${rows.filter(row => !row.hidden).length} of ${rows.length} rows`;
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
for (const head of all("th[data-s]")) {
const button = document.createElement("button"), {s, d = ""} = head.dataset;
button.append(...head.childNodes);
head.append(button);
button.onclick = () => change({sort: (head.ariaSort ? head.ariaSort[0] === "a" ? "-" : "" : d) + s});
}
for (const form of forms) {
form.hidden = false;
form.oninput = () => change({q: form.q.value, kind: form.kind.value});
form.onsubmit = () => false;
}
onhashchange = read;
read();
}
