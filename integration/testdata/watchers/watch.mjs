// Watches folders with chokidar or @parcel/watcher and prints what it hears, an
// event a line in JSON:
//
//   node watch.mjs chokidar|parcel FOLDER...
//
// Files of the last folder are read, and printed with the event. "ready" is printed when it hears of everything from then on.
import fs from 'node:fs';
import chokidar from 'chokidar';
import parcel from '@parcel/watcher';

const [program, ...folders] = process.argv.slice(2);

function print(event, path) {
  let text;
  if (path.startsWith(folders.at(-1))) {
    try { text = fs.readFileSync(path, 'utf8'); } catch { /* gone, or a folder */ }
  }
  console.log(JSON.stringify({ event, path, text }));
}

async function watch(folder) {
  if (program === 'parcel') {
    await parcel.subscribe(folder, (err, events) => {
      if (err) throw err;
      for (const e of events) print(e.type, e.path);
    });
    return;
  }
  const watcher = chokidar.watch(folder, { ignoreInitial: true });
  watcher.on('error', (err) => { throw err; });
  watcher.on('all', print);
  await new Promise((ready) => watcher.on('ready', ready));
}

await Promise.all(folders.map(watch));
console.log('ready');
