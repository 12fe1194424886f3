// Every folder of cases/ is a test: `node --test`.

import mapper from './mapper.js';
import { runCases } from './sluice/cases.js';

runCases(mapper, 'cases');
