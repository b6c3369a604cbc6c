// A node seen closely: what it was asked, its jobs with their place in time, and one job with all that is known of it.
function details(graph, choose, ask) {
  const box = make("div", "panel");
  const nodes = new Map(graph.nodes.map((node) => [node.id, node]));
  let [id, item, page, job, seen, asked, wrong] = [null, null, null, null, null, 0, ""];
  let [state, elapsed, timer] = [null, 0, 0];

  function update(chosen, now, seconds) {
    [state, elapsed] = [now, seconds];
    if (chosen !== id) [id, item, page, job, seen, asked, wrong] = [chosen, null, null, null, null, -Infinity, ""];
    const node = now.nodes[id];
    if (!node) return;
    if (node !== seen) soon();
    show();
  }

  // Looked at again when something happened to the node, and not all the time.
  function soon() {
    seen = state.nodes[id];
    clearTimeout(timer);
    timer = setTimeout(() => look(), Math.max(0, asked + 700 - performance.now()));
  }

  function look(start = 0) {
    asked = performance.now();
    const [of, at] = [id, item];
    const done = (take) => (answer) => {
      if (of !== id || at !== item) return;
      wrong = answer.ok ? "" : [answer.error, answer.hint].filter(Boolean).join("\n");
      if (answer.ok) take(answer);
      show();
    };
    if (item !== null) return ask("job", { node: id, item }, done((answer) => { job = answer.job; }));
    ask("jobs", { node: id, start }, done((answer) => {
      page = start ? { ...answer, jobs: [...page.jobs, ...answer.jobs] } : answer;
    }));
  }

  function open(next) {
    [item, job] = [next, null];
    look();
    show();
    box.querySelector("button")?.focus();
  }

  function show() {
    const [node, now] = [nodes.get(id), state.nodes[id]];
    const title = make("h5");
    const buttons = make("span", "end");
    if (item !== null) buttons.append(button("‹ All jobs", () => open(null), "quiet"));
    buttons.append(button("Timeline", () => choose(null), "quiet"));
    title.append(make("span", "", node.id), make("span", "soft", item === null ? node.kind : ""), buttons);
    const body = make("div", "scroll");
    body.append(...(item === null ? overview(node, now) : [job ? oneJob(job) : make("p", "soft", "Looking…")]));
    if (wrong) body.prepend(make("p", "bad", wrong));
    const place = box.querySelector(".scroll")?.scrollTop ?? 0;
    const focused = [...box.querySelectorAll("button")].indexOf(document.activeElement);
    const opened = [...box.querySelectorAll("details")].map((each) => each.open);
    box.replaceChildren(title, body);
    body.scrollTop = place;
    box.querySelectorAll("details").forEach((each, at) => { each.open = opened[at] ?? each.open; });
    if (focused >= 0) box.querySelectorAll("button")[focused]?.focus();
  }

  function overview(node, now) {
    const list = make("dl");
    const line = liner(list);
    const counts = Object.entries(now.counts).map(([kind, count]) => `${count} ${kind}`).join(", ");
    line("state", `${graph.words[now.state]}${counts ? ` (${counts})` : ""}`);
    line("time", now.start == null ? "" : lasted((now.end ?? elapsed) - now.start));
    line("error", now.error, "bad");
    for (const [name, value] of node.asked) line(name, value);
    const all = make("div", "jobs");
    for (const each of page?.jobs ?? []) all.append(jobLine(each));
    const left = page ? page.total - page.jobs.length : 0;
    if (left > 0) all.append(button(`${Math.min(left, 50)} more of ${left}`, () => look(page.jobs.length), "quiet"));
    return [list, all];
  }

  function jobLine(each) {
    const row = button("", () => open(each.item), `job ${each.state}`);
    row.append(icon(each.state === "quarantined" ? "failed" : each.state === "blocked" ? "pending" : each.state));
    if (each.thumb) row.append(picture(each.thumb));
    const words = make("span", "words");
    if (each.item.includes(".")) words.append(make("b", "", each.label), make("span", "soft item", each.item));
    else words.append(make("b", "", each.label));
    words.append(make("span", each.state === "failed" ? "bad" : "soft", each.line ?? ""));
    const rail = make("span", "rail");
    if (each.start !== null) {
      const bar = rail.appendChild(make("i", each.state));
      const whole = Math.max(elapsed, 0.001);
      bar.style.left = `${Math.min(99, (100 * Math.max(0, each.start)) / whole)}%`;
      bar.style.width = `${Math.max(0, (100 * ((each.end ?? elapsed) - each.start)) / whole)}%`;
    }
    row.append(words, rail, make("span", "took", each.start === null ? "" : lasted((each.end ?? elapsed) - each.start)));
    row.title = `${each.label}: ${each.state}${each.tries > 1 ? `, ${each.tries} attempts` : ""}`;
    return row;
  }

  function oneJob(each) {
    const list = make("dl");
    const line = liner(list);
    line("job", `${each.label} · ${each.item}`);
    line("state", `${each.state}${each.cached ? ", taken from an earlier result" : ""}`);
    line("time", each.start === null ? "" : lasted((each.end ?? elapsed) - each.start));
    line("by", [each.provider, each.model].filter(Boolean).join(" · "));
    const cost = each.cost === null ? "" : each.cost === 0 ? "$0" : `$${each.cost.toFixed(each.cost < 0.1 ? 4 : 2)}`;
    line("cost", [each.tokens === null ? "" : `${each.tokens} tokens`, cost].filter(Boolean).join(" · "));
    line("error", each.error, "bad");
    if (each.traceback) list.append(make("dt", "", ""), folded("traceback", make("pre", "", each.traceback)));
    line("result", each.text, "result");
    if (each.images.length) {
      const images = make("dd", "thumbs large");
      images.append(...each.images.map(picture));
      list.append(make("dt", "", "images"), images);
    }
    for (const [name, value] of each.asked) line(name, value);
    if (each.attempts.length) list.append(make("dt", "", "attempts"), attempts(each.attempts));
    return list;
  }
  return { box, update };
}

const liner = (list) => (name, value, className) => {
  if (value) list.append(make("dt", "", name), make("dd", className, value));
};

function folded(label, content) {
  const box = make("dd");
  const inner = box.appendChild(make("details"));
  inner.append(make("summary", "soft", label), content);
  return box;
}

function attempts(all) {
  const box = make("dd");
  for (const each of all) {
    const took = each.seconds === null ? "" : ` in ${lasted(each.seconds)}`;
    const line = make("div", "", `${each.number}. ${each.because}, at +${lasted(each.start)}: ${each.outcome}${took}`);
    if (each.error) line.append(make("span", "soft", ` · ${each.error}`));
    box.append(line);
  }
  return box;
}
