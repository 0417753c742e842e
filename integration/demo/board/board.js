// Shows board.txt: a line "# Name" starts a column, "- text" is a card in it,
// and @name in a card is somebody. Asks once a second whether the file has
// changed; the answer is mostly "no".

const board = document.getElementById('board')
const state = document.getElementById('state')
let shown = null

function parse(text) {
  const columns = []
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) columns.push({ name: line.replace(/^#+\s*/, ''), cards: [] })
    else if (/^\s*[-*]\s/.test(line)) {
      if (columns.length === 0) columns.push({ name: '', cards: [] })
      columns.at(-1).cards.push(line.replace(/^\s*[-*]\s+/, '').trim())
    }
  }
  return columns
}

function element(tag, ...children) {
  const e = document.createElement(tag)
  e.append(...children)
  return e
}

function person(name) {
  const e = element('b', name)
  const hue = [...name.toLowerCase()].reduce((h, c) => (h * 31 + c.codePointAt(0)) % 360, 7)
  e.style.setProperty('--hue', hue)
  return e
}

function card(text) {
  const parts = text.split(/((?<!\S)@[\p{L}\p{N}_-]+)/u)
  return element('article', ...parts.map((part, i) => i % 2 ? person(part.slice(1)) : part))
}

// draw replaces the board. Cards that were not there before are marked; all
// others glide to where they are now, if the browser can do that.
function draw(text) {
  const before = shown === null ? null : new Set(parse(shown).flatMap(column => column.cards))
  const seen = new Map()
  const columns = parse(text).map(({ name, cards }) => element('section',
    element('h2', name, element('small', String(cards.length))),
    ...cards.map(line => {
      const e = card(line)
      if (before && !before.has(line)) e.className = 'new'
      if (!seen.has(line)) e.style.viewTransitionName = `card-${hash(line)}`
      seen.set(line, e)
      return e
    })))
  if (columns.length === 0) {
    const e = element('p', 'Nothing here yet. Write a line "- a card" into board.txt.')
    e.className = 'empty'
    columns.push(e)
  }
  board.replaceChildren(...columns)
  shown = text
}

function hash(text) {
  let h = 0xcbf29ce484222325n
  for (const c of text) h = BigInt.asUintN(64, (h ^ BigInt(c.codePointAt(0))) * 0x100000001b3n)
  return h.toString(36)
}

function say(what, kind) {
  if (state.textContent !== what) state.textContent = what
  state.className = kind
}

let changed = ''
async function refresh() {
  try {
    const answer = await fetch('board.txt', { cache: 'no-cache', signal: AbortSignal.timeout(10_000) })
    if (answer.status === 404) throw new Error('there is no board.txt')
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`)
    const text = await answer.text()
    if (text !== shown) {
      if (shown !== null) changed = `, changed at ${new Date().toLocaleTimeString()}`
      if (shown === null || !document.startViewTransition || document.hidden) draw(text)
      else await document.startViewTransition(() => draw(text)).updateCallbackDone
    }
    say('live' + changed, 'live')
  } catch (error) {
    say(`not live, trying again: ${error.message}`, 'lost')
  }
}

// board--garden.localhost is the app "board" of the space "garden".
const [, space] = location.hostname.split('.')[0].split('--')
if (space) {
  document.title = `Board · ${space}`
  document.querySelector('h1').append(' ', element('small', `in ${space}`))
}

async function follow() {
  await refresh()
  setTimeout(follow, 1000)
}
follow()
