// The views below the graph, one at a time, each under a tab. What a person chose stays; else the view that presses most is shown.
function tabbed(key, views, turned) {
  const bar = make("div", "tabs");
  bar.setAttribute("role", "tablist");
  const box = make("div", "foot");
  box.append(bar, ...views.map(({ box }) => box));
  const tabs = new Map(views.map((view) => [view.name, tab(view)]));
  let [chosen, before, urgent, current] = [null, null, views[0].name, null];

  function tab({ name, label, box: panel }) {
    const node = button("", () => choose(name), "tab");
    const [words, badge] = [make("span", "", label), make("span", "badge")];
    node.append(words, badge);
    node.setAttribute("role", "tab");
    node.id = `xtyl-${key}-${name}`;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", node.id);
    bar.append(node);
    return { node, words, badge, panel };
  }
  const isThere = (name) => !tabs.get(name).node.hidden;

  // The tabs are one stop for the keyboard; arrows go from one to the next.
  bar.addEventListener("keydown", ({ key: pressed }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[pressed];
    const there = [...tabs.keys()].filter(isThere);
    if (!step) return;
    const next = there[(there.indexOf(current) + step + there.length) % there.length];
    choose(next);
    tabs.get(next).node.focus();
  });

  function choose(name) {
    before = name === null ? null : chosen === name ? before : chosen;
    chosen = name;
    turn();
    turned();
  }
  // Back to where a person was before the view that is closed.
  function close(name) {
    if (chosen === name) chosen = before === name ? null : before;
    before = null;
    turn();
  }

  // `state` has for each view whether it is hidden, its label and its badge; `most` names the one that presses most.
  function update(state, most) {
    urgent = most;
    for (const [name, { hidden = false, label, badge = "" }] of Object.entries(state)) {
      const { node, words, badge: mark } = tabs.get(name);
      node.hidden = hidden;
      if (label !== undefined && words.textContent !== label) words.textContent = label;
      if (mark.textContent !== String(badge)) mark.textContent = badge;
      mark.hidden = !badge;
    }
    turn();
  }
  function turn() {
    const now = chosen !== null && isThere(chosen) ? chosen : urgent;
    current = now;
    for (const [name, { node, panel }] of tabs) {
      panel.hidden = name !== now;
      node.classList.toggle("on", name === now);
      node.setAttribute("aria-selected", String(name === now));
      node.tabIndex = name === now ? 0 : -1;
    }
  }
  return { box, choose, close, update, current: () => current };
}
