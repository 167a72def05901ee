// On a page: the precomputed triangle at once, and Python in a worker if the reader asks for it.

for (const root of document.querySelectorAll(".twolayer-explorer")) {
  const {info, note} = JSON.parse(root.querySelector("script").textContent);
  const here = new URL(root.dataset.files, document.baseURI).href;

  const load = (progress) => new Promise((resolve, reject) => {
    if (location.protocol === "file:") {
      reject(new Error("a page opened from a file may not start Python; serve the folder, for instance with: python3 -m http.server"));
      return;
    }
    let worker, heard, ready, waiting = null, busy = false;
    const begin = () => {
      worker = new Worker(here + "worker.js");
      worker.onmessage = ({data}) => heard(data);
      worker.onerror = (event) => heard({type: "failed", reason: event.message || "the worker could not be started"});
      ready = new Promise((done, fail) => {
        heard = (message) => {
          if (message.type === "progress") progress(message.share, message.words);
          else if (message.type === "loaded") done();
          else fail(new Error(message.reason));
        };
      });
      const base = new URL(root.dataset.liveBase, document.baseURI).href;
      worker.postMessage({type: "load", base, archive: here + "twolayer.zip"});
    };
    // One at a time; of those that wait, the last.
    const next = async () => {
      if (busy || !waiting) return;
      const {request, tell, show, done, fail} = waiting;
      [waiting, busy] = [null, true];
      const mine = worker;
      try {
        await ready;
        if (mine !== worker) return;
        heard = (message) => {
          if (message.type === "progress") return tell(message.share, message.words);
          if (message.type === "first") return show(message.answer);
          busy = false;
          if (message.type === "answer") done(message.answer);
          else fail(new Error(message.reason));
          next();
        };
        worker.postMessage({type: "compute", request});
      } catch (error) {
        busy = false;
        fail(error);
      }
    };
    const backend = {
      compute: (request, tell, show) => new Promise((done, fail) => { waiting = {request, tell, show, done, fail}; next(); }),
      cancel() { worker.terminate(); [waiting, busy] = [null, false]; begin(); ready.catch(() => {}); },
    };
    begin();
    ready.then(() => resolve(backend), (error) => { worker.terminate(); reject(error); });
  });

  root.parentElement.querySelector(".tlx-static")?.classList.add("tlx-replaced");
  root.explorer = window.twolayerExplorer.mount(root, {info, grid: window.twolayerGrid, live: {label: "Run live", note, load}, address: true});
  for (const walk of document.querySelectorAll(".tlx-walk")) walk.hidden = false;
  for (const step of document.querySelectorAll(".tlx-steps button")) step.addEventListener("click", () => root.explorer.show(step.dataset.at));
}
