function timeline(choose, ask) {
  const box = make("div", "times");
  const list = make("div", "gantt");
  const [axis, rows] = [scale(), make("div")];
  list.append(axis.box, rows);
  const end = make("p", "soft");
  box.append(list, end);
  const lanes = new Map();
  let [asked, known, looking, later] = [-Infinity, null, false, null];

  // Single jobs are requested after an event, at most once a second; until they arrive, one bar stands for all.
  function look(state) {
    if (looking || known === state.nodes) return;
    clearTimeout(later);
    const early = asked + 1000 - performance.now();
    // The last event of a run may arrive too early for this, and no other follows it.
    if (early > 0) return void (later = setTimeout(() => update(...shown), early));
    [asked, known, looking] = [performance.now(), state.nodes, true];
    ask("bars", {}, (answer) => {
      looking = false;
      for (const [id, bars] of Object.entries(answer.bars ?? {})) lanes.get(id)?.take(bars);
      update(...shown);
    }, { quiet: true });
  }

  let [names, shown] = [new Map(), []];
  function redraw(graph) {
    names = new Map(graph.nodes.map(({ id, name }) => [id, name]));
    lanes.clear();
    rows.replaceChildren();
    known = null;
  }

  function lane(id) {
    const row = button("", () => choose(id), "lane");
    const rail = make("span", "rail");
    const took = make("span", "took");
    let [bars, pitch, thick] = [[], 9, 9];
    row.append(make("span", "", names.get(id)), rail, took);
    rail.addEventListener("pointerover", ({ target }) => {
      const [start, end, state] = bars[[...rail.children].indexOf(target)] ?? [];
      if (state) target.title = `${state} from +${lasted(start)} to ${end === null ? "now" : `+${lasted(end)}`}`;
    });
    // Simultaneous jobs lie in lanes below each other; the more lanes, the thinner.
    const take = (found) => {
      bars = found;
      const most = Math.max(0, ...bars.map(([, , , place]) => place)) + 1;
      [pitch, thick] = most === 1 ? [9, 9] : most < 5 ? [7, 6] : [5, 4];
      rail.style.height = `${most * pitch - (pitch - thick)}px`;
      row.title = most === 1 ? "" : `${names.get(id)}: up to ${most} at once`;
    };
    const draw = (node, elapsed) => {
      const shown = bars.length ? bars : [[node.start, node.start + atWork(node, elapsed), node.state, 0]];
      while (rail.children.length > shown.length) rail.lastChild.remove();
      shown.forEach(([start, end, state, lane], place) => {
        const bar = rail.children[place] ?? rail.appendChild(make("i"));
        bar.className = state;
        placed(bar, start, end ?? elapsed, elapsed);
        bar.style.top = `${lane * pitch}px`;
        bar.style.height = `${thick}px`;
      });
      took.textContent = lasted(atWork(node, elapsed));
    };
    return { row, take, draw };
  }

  function update(state, elapsed) {
    shown = [state, elapsed];
    const started = [...names.keys()].filter((id) => state.nodes[id]?.start != null);
    look(state);
    // In the order of the graph, not of their starts.
    started.slice(0, LANES).forEach((id, place) => {
      if (!lanes.has(id)) lanes.set(id, lane(id));
      const { row, draw } = lanes.get(id);
      draw(state.nodes[id], elapsed);
      if (rows.children[place] !== row) rows.insertBefore(row, rows.children[place] ?? null);
    });
    while (rows.children.length > LANES) rows.lastChild.remove();
    axis.draw(started.length ? elapsed : 0, rows, isOver(state));
    const more = started.length - LANES;
    end.textContent = started.length ? (more > 0 ? `first ${LANES} of ${started.length} · ` : "") + lasted(elapsed) : "nothing has started";
  }
  return { box, update, redraw, close: () => clearTimeout(later) };
}

// Times on a scale that is as long as the run, in round steps.
const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const MOST_TICKS = 5;

function scale() {
  const box = make("div", "lane scale");
  const rail = make("span", "ticks");
  box.append(make("span"), rail, make("span"));
  let drawn = -Infinity;
  function draw(whole, rows, isFinal) {
    box.hidden = !whole;
    // It moves all rows; once a second is often enough.
    if (!whole || (!isFinal && performance.now() - drawn < 900)) return;
    drawn = performance.now();
    const step = STEPS.find((each) => whole / each <= MOST_TICKS) ?? Math.ceil(whole / MOST_TICKS / 86400) * 86400;
    rows.style.setProperty("--step", `${(100 * step) / whole}%`);
    rail.replaceChildren();
    // The last place is for the end of the scale.
    for (let at = 0; at <= 0.93 * whole; at += step) {
      const tick = make("span", "", step >= 60 ? clock(at) : `${Number(at.toFixed(2))} s`);
      tick.style.left = `${(100 * at) / whole}%`;
      rail.append(tick);
    }
  }
  return { box, draw };
}
