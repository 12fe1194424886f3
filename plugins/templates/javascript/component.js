// Exports of the component: they call the mapper. Do not change this file.

import { find } from 'sluice:plugin/source-lookup@0.1.0';
import { panicked } from 'sluice:plugin/log@0.1.0';
import mapper from './mapper.js';

const host = { find, panicked };

export const mapping = {
  describe: () => mapper.describe(),
  transform: (context, source, records) => mapper.transform(context, source, records, host),
};
