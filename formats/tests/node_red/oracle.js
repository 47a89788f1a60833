// What Node.js makes of documents: for each, a line with the number of elements that differ from the document before,
// a line with JSON.stringify(x), and a line with JSON.stringify(x, null, 4) whose line feeds are \x01. A document that
// JavaScript cannot read, or cannot write again (nested 20,000 deep), gives one line, "invalid".
//
// node oracle.js files DIR     the files NNNN.json or syn-*.json of a folder, in order of their names
// node oracle.js random SEED N documents as no one would write them, each after a line with its text

const fs = require("fs");
const path = require("path");

// Elements by id; repeated ids and elements without one by what else tells them apart.
function elements(document) {
    const found = new Map();
    for (const element of document) {
        const named = element !== null && typeof element === "object" && typeof element.id === "string" && element.id;
        const name = named ? "id " + element.id : "content " + JSON.stringify(element);
        let count = 1;
        while (found.has(name + " " + count)) count++;
        found.set(name + " " + count, JSON.stringify(element));
    }
    return found;
}

function changed(before, after) {
    const [old, now] = [elements(before), elements(after)];
    let count = 0;
    for (const [name, text] of now) if (old.get(name) !== text) count++;
    for (const name of old.keys()) if (!now.has(name)) count++;
    return count;
}

let before = [];
function answer(text) {
    try {
        const document = JSON.parse(text.replace(/^\ufeff/, ""));
        const count = Array.isArray(document) ? changed(before, document) : 0;
        const [compact, pretty] = [JSON.stringify(document), JSON.stringify(document, null, 4).replace(/\n/g, "\x01")];
        before = Array.isArray(document) ? document : before;
        return [count, compact, pretty, ""].join("\n");
    } catch {
        return "invalid\n";
    }
}

function files(folder) {
    const names = fs.readdirSync(folder).filter((name) => name.endsWith(".json")).sort();
    return names.map((name) => answer(fs.readFileSync(path.join(folder, name), "utf8"))).join("");
}

function random(seed, count) {
    // mulberry32
    const next = () => {
        seed = (seed + 0x6d2b79f5) | 0;
        let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const below = (n) => Math.floor(next() * n);
    const one = (...of) => of[below(of.length)];
    const ids = ["a", "b", "c", "d", "a/0", "b#2", "~x", "$root", "", "\ud800", "é", "0", "i".repeat(below(2) ? 255 : 256)];
    const string = () => {
        let text = "";
        for (let n = below(4); n > 0; n--) {
            text += one("x", "\\n", "\\u0000", "\\ud83d", "\\ude00", "é", "😀", "\\\"", "\\/", "\\u00E9", "\u2028", "$", "\x7f");
        }
        return `"${text}"`;
    };
    const number = () => {
        const digits = () => String(below(2) ? below(10) : Math.floor(next() * 10 ** below(17)));
        return one("", "-") + digits() + one("", "", "." + digits(), ".000000" + digits()) + one("", "", one("e", "E") + one("", "+", "-") + below(330));
    };
    const space = () => one("", "", "", " ", "\r\n", "\t");
    const list = (of, n) => `[${Array.from({ length: n }, () => space() + of() + space()).join(",")}]`;
    const object = (of) => `{${of.map(([key, value]) => `${space()}${key}${space()}:${space()}${value}`).join(",")}}`;
    const value = (depth) => {
        const kind = below(depth > 3 ? 5 : 7);
        if (kind < 2) return one("null", "true", "false", "[]", "{}");
        if (kind < 4) return number();
        if (kind < 5) return string();
        if (kind < 6) return list(() => value(depth + 1), below(4));
        return object(Array.from({ length: below(4) }, () => [one(string(), '"k"', '"10"', '"9"', '"__proto__"'), value(depth + 1)]));
    };
    const id = () => JSON.stringify(ids[below(below(3) ? 4 : ids.length)]);
    const wires = () => (below(8) ? list(() => list(id, below(3)), below(4)) : value(1));
    const element = () => {
        if (!below(12)) return value(0);
        let of = [["\"id\"", below(15) ? id() : value(1)], ["\"type\"", below(15) ? one('"x"', '"tab"', '"wire"', '"$verbatim"') : value(1)]];
        if (below(2)) of.push(['"z"', id()]);
        const names = ['"x"', '"y"', '"name"', '"l"', '"1"', '"$wires"', '"$layout"', '"from"', '"to"', string()];
        for (let n = below(4); n > 0; n--) of.push([names[below(names.length)], value(0)]);
        if (below(3)) of.push(['"wires"', wires()]);
        if (!below(4)) of.push(['"info"', string()]);
        if (!below(6)) of = of.map((entry) => [next(), entry]).sort((a, b) => a[0] - b[0]).map(([, entry]) => entry);
        return object(of);
    };

    let out = "";
    let held = [];
    for (; count > 0; count--) {
        // Mostly the elements of the document before, some of them elsewhere, gone, new or different.
        held = held.filter(() => below(8)).map((text) => (below(6) ? text : element()));
        for (let n = below(3); n > 0; n--) held.splice(below(held.length + 1), 0, element());
        if (held.length > 1 && below(2)) held.splice(below(held.length), 0, held.splice(below(held.length), 1)[0]);
        const text = `[${held.map((element) => element.replace(/\r\n/g, " ")).join(",")}]`;
        out += Buffer.from(text).toString() + "\n" + answer(text);
    }
    return out;
}

const [mode, first, second] = process.argv.slice(2);
process.stdout.write(mode === "files" ? files(first) : random(Number(first), Number(second)));
