const SETTLED = 1500;

// The kernel renews the still picture beside the widget, but after a reload of the page JupyterLab routes no more updates to it, and
// the notebook would keep the old one. Widgets in JupyterLab can access the notebook, so the picture is found and renewed here.
function keeper(model, key, ask) {
  let [shows, timer] = [null, null];

  function find() {
    for (const cell of model.widget_manager?.context?.model?.cells ?? []) {
      const outputs = cell.outputs;
      for (let place = 0; place < (outputs?.length ?? 0); place++) {
        const output = outputs.get(place).toJSON();
        const html = [output.data?.["text/html"] ?? ""].flat().join("");
        const mark = html.match(`xtyl-still-${key} xtyl-is-([0-9a-f]+)`)?.[1];
        if (mark) return { outputs, place, output, mark };
      }
    }
    return null;
  }

  function renew() {
    const found = find();
    if (!found) return;
    ask("still", { mark: found.mark }, ({ html }) => {
      const now = html && find();
      if (now) now.outputs.set(now.place, { ...now.output, data: { ...now.output.data, "text/html": html } });
    }, { quiet: true });
  }

  // Each time that the kernel draws it: when the run starts, pauses, waits for a person or is over.
  function update({ state, waiting_for, reviews_total }) {
    const now = JSON.stringify([state, waiting_for, reviews_total]);
    if (now === shows) return;
    shows = now;
    clearTimeout(timer);
    timer = setTimeout(renew, SETTLED);
  }
  return { update, close: () => clearTimeout(timer) };
}
