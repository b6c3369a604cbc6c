function timeline(graph, choose, ask) {
  const box = make("div");
  const title = make("h5", "", "Timeline");
  const log = eventLog(ask, () => show(false));
  const list = make("div", "gantt");
  const end = make("span", "end");
  title.append(end, button("Events", () => show(true), "quiet"));
  const plain = make("div");
  plain.append(title, list);
  box.append(plain, log.box);
  show(false);

  function show(events) {
    plain.hidden = events;
    log.box.hidden = !events;
    if (events) log.open();
  }
  const lanes = new Map();
  const names = new Map(graph.nodes.map(({ id, name }) => [id, name]));

  function lane(id) {
    const row = button("", () => choose(id), "lane");
    const rail = make("span", "rail");
    const bar = rail.appendChild(make("i"));
    const took = make("span", "took");
    row.append(make("span", "", names.get(id)), rail, took);
    return { row, bar, took };
  }

  function update(state, elapsed) {
    const started = graph.nodes.filter(({ id }) => state.nodes[id]?.start != null);
    const whole = Math.max(elapsed, 0.001);
    for (const { id } of started.slice(0, LANES)) {
      if (!lanes.has(id)) lanes.set(id, lane(id));
      const { row, bar, took } = lanes.get(id);
      const node = state.nodes[id];
      const until = node.end ?? elapsed;
      bar.className = node.state;
      bar.style.left = `${Math.min(99, (100 * node.start) / whole)}%`;
      bar.style.width = `${Math.max(0, (100 * (until - node.start)) / whole)}%`;
      took.textContent = lasted(until - node.start);
      if (!row.isConnected) list.append(row);
    }
    const more = started.length - LANES;
    end.textContent = started.length ? (more > 0 ? `first ${LANES} of ${started.length} · ` : "") + lasted(elapsed) : "nothing has started";
  }
  return { box, update };
}

// What happened, newest first: read when it is opened, and again on demand.
function eventLog(ask, close) {
  const box = make("div");
  const title = make("h5", "", "Events");
  const list = make("div", "log");
  const buttons = make("span", "end");
  buttons.append(button("Refresh", open, "quiet"), button("Timeline", close, "quiet"));
  title.append(buttons);
  box.append(title, list);

  function open() {
    ask("events", {}, (answer) => {
      if (!answer.ok) return list.replaceChildren(make("p", "bad", answer.error));
      list.replaceChildren(...answer.events.map((event) => {
        const row = make("div", "event");
        row.append(make("span", "soft", event.number), make("span", "soft", `+${lasted(event.at)}`));
        row.append(make("b", "", event.kind), make("span", "", event.where), make("span", "soft", event.says));
        return row;
      }));
    });
  }
  return { box, open };
}
