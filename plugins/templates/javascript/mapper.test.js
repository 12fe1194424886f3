// Runs every case in cases/ as a test: `node --test`.

import mapper from './mapper.js';
import { runCases } from './sluice/cases.js';

runCases(mapper, 'cases');
