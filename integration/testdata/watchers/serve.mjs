// A Vite development server with its defaults:
//
//   node serve.mjs FOLDER CACHE
//
// It prints "ready URL", and then each line that the page posts to /report.
import { createServer } from 'vite';

const [root, cacheDir] = process.argv.slice(2);

const report = {
  name: 'report',
  configureServer(server) {
    server.middlewares.use('/report', (req, res) => {
      let body = '';
      req.on('data', (part) => { body += part; });
      req.on('end', () => {
        console.log(body);
        res.end();
      });
    });
  },
};

const server = await createServer({
  root, cacheDir, configFile: false, clearScreen: false, logLevel: 'warn', plugins: [report],
  server: { host: '127.0.0.1' },
});
await server.listen();
console.log(`ready ${server.resolvedUrls.local[0]}`);
