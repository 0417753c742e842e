// An editor that opens, watches and saves a file as VS Code does on Linux with
// its defaults (files.saveAtomic is off), for a person who types commands:
//
//   top TEXT, bottom TEXT   add a line
//   drop                    delete the last line
//   revert                  load the file whatever its etag says
//   save, quit
//
// VS Code takes a file as changed by others if its etag, made of mtime and size,
// is another one. Of a buffer without unsaved changes it then loads the file
// anew; a save that meets a newer file asks the person.
const fs = require('node:fs').promises;
const path = require('node:path');
const readline = require('node:readline');
const watcher = require('@parcel/watcher');

const file = path.resolve(process.argv[2]);
const etag = (s) => s.mtimeMs.toString(29) + s.size.toString(31);
let buffer, known, dirty = false;
let turn = Promise.resolve();
const queue = (work) => { turn = turn.then(work).catch((err) => console.log('failed:', err)); };

async function load() {
  const now = await fs.stat(file);
  if (!known || known.mtimeMs <= now.mtimeMs) known = now; // updateLastResolvedFileStat does not go back
  const handle = await fs.open(file, 'r');
  buffer = (await handle.readFile()).toString();
  await handle.close();
}

async function changed() {
  console.log('the watcher calls');
  if (dirty || etag(await fs.stat(file)) === etag(known)) return;
  await load();
  console.log(`reloaded: ${JSON.stringify(buffer)}`);
}

async function save() {
  const now = await fs.stat(file);
  if (known.mtimeMs < now.mtimeMs && etag(known) !== etag({ mtimeMs: known.mtimeMs, size: now.size })) {
    console.log('The content of the file is newer.');
    return; // VS Code asks whether to overwrite it
  }
  const handle = await fs.open(file, 'w');
  await handle.write(Buffer.from(buffer));
  await handle.datasync();
  await handle.close();
  known = await fs.stat(file);
  dirty = false;
}

async function command(line) {
  const [verb, ...rest] = line.trim().split(' ');
  const text = rest.join(' ');
  switch (verb) {
    case 'top': buffer = `${text}\n${buffer}`; dirty = true; break;
    case 'bottom': buffer = `${buffer}${text}\n`; dirty = true; break;
    case 'drop': buffer = buffer.replace(/[^\n]*\n$/, ''); dirty = true; break;
    case 'revert': await load(); dirty = false; break;
    case 'save': await save(); break;
    case 'quit': await subscription.unsubscribe(); process.exit(0);
  }
  console.log('it is done');
}

let subscription;
(async () => {
  subscription = await watcher.subscribe(path.dirname(file), (err, events) => {
    if (err) console.log('failed:', err);
    else if (events.some((e) => e.path === file && e.type !== 'delete')) queue(changed);
  });
  await load();
  console.log('it is open:', JSON.stringify(buffer));
  readline.createInterface({ input: process.stdin }).on('line', (line) => queue(() => command(line)));
})();
