// Builds the component: `npm run build`. The component imports only what `wit/` names.

import { mkdir, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const { component } = await componentize({
  sourcePath: 'component.js',
  witPath: 'wit',
  worldName: 'mapper',
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await mkdir('dist', { recursive: true });
await writeFile('dist/{{name}}.wasm', component);
