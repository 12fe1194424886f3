// Exports of the component: they call the mapper. Do not change this file.

import { find } from 'sluice:plugin/source-lookup@0.1.0';
import { panicked } from 'sluice:plugin/log@0.1.0';
import mapper from './mapper.js';
import { describe } from './sluice/exceptions.js';

export const mapping = {
  describe: () => reporting(() => mapper.describe()),
  transform: (context, source, records) => reporting(() => mapper.transform(context, source, records, { find })),
};

/** Returns the result of a call. Passes the text of an exception to the host before the component breaks. */
function reporting(call) {
  try {
    return call();
  } catch (error) {
    panicked(describe(error));
    throw error;
  }
}
