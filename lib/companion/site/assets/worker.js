// Python in a Web Worker: Pyodide, NumPy, SciPy and the package itself, zipped by the build.

let compute = null;

const say = (message) => postMessage(message);

async function load({base, archive}) {
  const where = navigator.onLine === false ? "this computer is offline" : `${base} cannot be reached or is blocked`;
  say({type: "progress", share: 0.02, words: "Python, 14 MB"});
  try {
    importScripts(base + "pyodide.js");
  } catch (error) {
    throw new Error(`Python could not be loaded: ${where}.`);
  }
  let python;
  try {
    python = await loadPyodide({indexURL: base});
    say({type: "progress", share: 0.4, words: "NumPy and SciPy, 23 MB"});
    const trouble = [];
    await python.loadPackage(["numpy", "scipy"], {messageCallback: () => {}, errorCallback: (words) => trouble.push(words)});
    if (trouble.length) throw new Error(trouble.join(" "));
  } catch (error) {
    throw new Error(`Python could not be loaded: ${where} (${error.message}).`);
  }
  say({type: "progress", share: 0.9, words: "the package twolayer"});
  const answer = await fetch(archive);
  if (!answer.ok) throw new Error(`the package is not at ${archive} (status ${answer.status}).`);
  python.unpackArchive(await answer.arrayBuffer(), "zip", {extractDir: "/home/pyodide"});
  compute = python.runPython(`
import json, sys
sys.path.insert(0, "/home/pyodide")
from twolayer.explorer import compute
from twolayer.support.checks import InvalidInput

def run(request, report, show):
    def first(answer):
        show(json.dumps(answer))
    try:
        return json.dumps({"answer": compute(json.loads(request), report, first)})
    except InvalidInput as error:
        return json.dumps({"reason": str(error)})
    except MemoryError:
        return json.dumps({"reason": "the request is too large for this browser's memory"})

run
`);
}

onmessage = async ({data}) => {
  try {
    if (data.type === "load") {
      await load(data);
      say({type: "loaded"});
      return;
    }
    let said = 0;
    const report = (share, words) => {
      if (performance.now() - said < 200) return;
      said = performance.now();
      say({type: "progress", share, words});
    };
    const show = (first) => say({type: "first", answer: JSON.parse(first)});
    const result = JSON.parse(compute(JSON.stringify(data.request), report, show));
    say(result.answer ? {type: "answer", answer: result.answer} : {type: "failed", reason: result.reason});
  } catch (error) {
    say({type: "failed", reason: error.message});
  }
};
