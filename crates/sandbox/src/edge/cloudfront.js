const native = globalThis.causeway;
delete globalThis.causeway;

const say = (...parts) => native.log(parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join(' '));
globalThis.console = { log: say, error: say, warn: say };

function bytes(text) {
    const encoded = unescape(encodeURIComponent(text));
    return Uint8Array.from(encoded, (c) => c.charCodeAt(0));
}

function kvs(id) {
    if (!native.get || (id !== undefined && id !== native.id)) {
        throw new Error('The key value store is not associated with the function.');
    }
    return {
        async get(key, options) {
            const value = native.get(String(key));
            if (value === undefined || value === null) throw new Error('KeyNotFound: ' + key);
            const format = (options && options.format) || 'string';
            if (format === 'json') return JSON.parse(value);
            return format === 'bytes' ? bytes(value) : value;
        },
        async exists(key) {
            const value = native.get(String(key));
            return value !== undefined && value !== null;
        },
        async count() {
            return native.count;
        },
        async meta() {
            return { creationDateTime: native.created, lastUpdatedDateTime: native.modified, keyCount: native.count };
        },
    };
}

export default { kvs };
