// Rows by steps, of which only those in view are drawn and requested. A click on a cell leads to its job, or to what waits there.
const ROW_HEIGHT = 46;
const ROWS_AT_ONCE = 50;
const SHOWN_AROUND = 8;
const SIFTS = [["", "All"], ["failed", "Failed"], ["waiting", "Waiting"], ["rejected", "Rejected"], ["ready", "Ready"]];

function matrix(ask, open) {
  const box = make("div", "matrix");
  const tools = make("div", "row");
  const find = make("input", "find");
  Object.assign(find, { type: "text", placeholder: "Search rows and texts" });
  find.setAttribute("aria-label", find.placeholder);
  const sifts = new Map(SIFTS.map(([show, label]) => [show, button(label, () => sift({ show }), "sift")]));
  const found = make("span", "soft end");
  tools.append(find, ...sifts.values(), found);
  const sheet = make("div", "grid");
  sheet.setAttribute("role", "table");
  sheet.tabIndex = 0;
  const head = make("div", "line head");
  head.setAttribute("role", "row");
  const space = make("div", "rows");
  sheet.append(head, space);
  const says = make("p", "bad");
  box.append(tools, says, sheet);
  let [wanted, kept, total, known, timer, asking, lines] = [{ show: "", find: "" }, new Map(), 0, null, null, new Set(), new Map()];

  let typed = null;
  find.addEventListener("keydown", aside);
  find.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => sift({ find: find.value }), 250);
  });
  sheet.addEventListener("scroll", () => draw(), { passive: true });

  function sift(now) {
    wanted = { ...wanted, ...now };
    sheet.scrollTop = 0;
    renew();
  }
  // The old lines stay until the new ones are there.
  function renew() {
    asking = new Set();
    look(Math.floor(first() / ROWS_AT_ONCE), true);
  }
  const first = () => Math.max(0, Math.floor(sheet.scrollTop / ROW_HEIGHT));

  function look(page, isNew = false) {
    if (asking.has(page)) return;
    asking.add(page);
    const of = wanted;
    ask("rows", { ...of, start: page * ROWS_AT_ONCE, count: ROWS_AT_ONCE }, (answer) => {
      asking.delete(page);
      if (of !== wanted) return;
      says.textContent = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
      if (!answer.ok) return;
      if (isNew) kept = new Map();
      kept.set(page, answer);
      take(answer);
    }, { quiet: true });
  }

  function take(answer) {
    total = answer.total;
    for (const [show, node] of sifts) {
      const label = SIFTS.find(([each]) => each === show)[1];
      node.textContent = `${label} ${answer.counts[show]}`;
      node.hidden = show !== "" && !answer.counts[show] && wanted.show !== show;
      node.setAttribute("aria-pressed", String(wanted.show === show));
    }
    found.textContent = wanted.find || wanted.show ? `${total} of ${answer.counts[""]} rows` : "";
    const names = ["row", ...answer.columns, ...answer.steps];
    if (head.dataset.names !== JSON.stringify(names)) {
      head.dataset.names = JSON.stringify(names);
      head.replaceChildren(...names.map((name) => cellOf("columnheader", "", name)));
      sheet.style.setProperty("--columns", `minmax(130px, 1.2fr) repeat(${answer.columns.length}, minmax(60px, .6fr)) repeat(${answer.steps.length}, minmax(112px, 1fr))`);
      sheet.style.setProperty("--least", `${140 + 66 * answer.columns.length + 116 * answer.steps.length}px`);
    }
    space.style.height = `${total * ROW_HEIGHT}px`;
    for (const [, line] of lines) line.remove();
    lines = new Map();
    draw();
  }

  // What is in view, and a few lines around it.
  function draw() {
    const from = Math.max(0, first() - SHOWN_AROUND);
    const to = Math.min(total, first() + Math.ceil((sheet.clientHeight || 480) / ROW_HEIGHT) + SHOWN_AROUND);
    for (const [place, line] of lines) {
      if (place >= from && place < to) continue;
      line.remove();
      lines.delete(place);
    }
    for (let place = from; place < to; place++) {
      const page = kept.get(Math.floor(place / ROWS_AT_ONCE));
      if (!page) look(Math.floor(place / ROWS_AT_ONCE));
      const row = page?.rows[place % ROWS_AT_ONCE];
      if (!row || lines.has(place)) continue;
      const line = lineOf(row, page.steps);
      line.style.transform = `translateY(${place * ROW_HEIGHT}px)`;
      lines.set(place, space.appendChild(line));
    }
  }

  function lineOf(row, steps) {
    const line = make("div", `line ${row.state === "ready" ? "completed" : row.state}`);
    line.setAttribute("role", "row");
    line.append(cellOf("rowheader", "name", row.label), ...row.facts.map((fact) => cellOf("cell", "soft", fact)));
    row.cells.forEach((each, at) => {
      const box = cellOf("cell", each.state);
      const inner = button("", () => open(steps[at], row, each), "cell");
      inner.append(icon(each.state === "blocked" ? "pending" : each.state));
      for (const source of each.thumbs) inner.append(picture(source));
      const words = each.text || (each.thumbs.length ? "" : CELL_WORDS[each.state] ?? each.state);
      inner.append(make("span", "words", words));
      if (each.more && each.state !== "skipped") inner.append(make("span", "soft", `+${each.more}`));
      inner.setAttribute("aria-label", `${row.label}, ${steps[at]}: ${CELL_WORDS[each.state] ?? each.state}${words ? `, ${words}` : ""}`);
      inner.disabled = each.item === null;
      box.append(inner);
      line.append(box);
    });
    return line;
  }
  function cellOf(role, className, text) {
    const node = make("div", className, text);
    node.setAttribute("role", role);
    if (text) node.title = text;
    return node;
  }

  // Read again after events, at most once in two seconds.
  function update(state) {
    if (known === state.nodes) return;
    const isFirst = known === null;
    known = state.nodes;
    clearTimeout(timer);
    timer = setTimeout(renew, isFirst ? 0 : 2000);
  }
  return { box, update, close: () => [timer, typed].forEach(clearTimeout) };
}

const CELL_WORDS = {
  blocked: "not yet", ready: "not yet", running: "running", waiting: "waits for you", failed: "failed",
  skipped: "left out", stopped: "stopped", rejected: "rejected", completed: "",
};
