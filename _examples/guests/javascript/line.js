// A nib in JavaScript: a record is a line, and so is its answer.
//
//     npm install @bytecodealliance/componentize-js
//     npx componentize-js _examples/guests/javascript/line.js --wit wit/nib --world-name nib \
//         -d stdio -d random -d clocks -d http -d fetch-event -o line.wasm

const END = 10; // \n
const ERROR = [...'error'].map((letter) => letter.charCodeAt(0));
const more = { tag: 'more' };

class Connection {
  constructor(worker) {}

  opened(nowNs) {
    return more;
  }

  start(hit, prepared) {
    return more;
  }

  data(bytes) {
    if (ERROR.every((byte, place) => bytes[place] === byte)) {
      return { tag: 'failed', val: 'the server says error' };
    }
    return { tag: 'done', val: 200 };
  }

  woken(nowNs) {
    return more;
  }

  closed() {
    return more;
  }
}

export const protocol = {
  configure(settings) {
    return {
      name: 'line',
      streams: 16,
      startsItself: true,
      seesPayload: false,
      need: { tag: 'until', val: new Uint8Array([END]) },
    };
  },

  prepare(entry) {
    let length = entry.length;
    while (length > 0 && (entry[length - 1] === END || entry[length - 1] === 13)) {
      length -= 1;
    }
    const line = new Uint8Array(length + 1);
    line.set(entry.subarray(0, length));
    line[length] = END;
    return line;
  },

  Connection,
};
