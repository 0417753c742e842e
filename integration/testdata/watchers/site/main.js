import './style.css';
import { message } from './message.js';

const pages = import.meta.glob('./pages/*.js');
const shown = document.querySelector('#message');

// What a person would see, and since when this document is there: that changes
// with a reload, and not when a module is replaced.
function report() {
  fetch('/report', {
    method: 'POST',
    body: JSON.stringify({
      title: document.title,
      message: shown.textContent,
      color: getComputedStyle(shown).color,
      pages: Object.keys(pages),
      since: performance.timeOrigin,
    }),
  });
}

import.meta.hot.accept('./message.js', (module) => { shown.textContent = module.message; });
import.meta.hot.on('vite:afterUpdate', report);
shown.textContent = message;
report();
