// Leads what a visitor asks for to the object that holds it. Runs on viewer requests, before the cache is looked at:
// what it makes of a path is the cache's key, so a switch of releases needs no invalidation. Only what runtime 2.0 is
// documented to know: no `for..of`, destructuring, spread, computed names or `?.`.
import cf from 'cloudfront';

const store = cf.kvs();
const PREVIEW = 'causeway-release';

async function handler(event) {
    const request = event.request;
    if (request.uri === '/_errors/404.html') return request;

    const preview = /^\/_preview\/([A-Za-z0-9-]*)\/?$/.exec(request.uri);
    if (preview) return begin(preview[1]);

    const release = await shown(request.cookies[PREVIEW]);
    if (!release) return told(503, 'Nothing published');

    let path = local(request.uri);
    const rule = await ruled(release, path);
    if (rule) {
        if (rule.status !== 200) return moved(rule.status, rule.target, request.querystring);
        path = rule.target;
    } else {
        const last = path.substring(path.lastIndexOf('/') + 1);
        if (release.style === 'directory') {
            if (last === '') path += 'index.html';
            else if (last.indexOf('.') < 0) return moved(308, path + '/', request.querystring);
        } else if (path === '/') {
            path = '/index.html';
        } else if (last === '') {
            return moved(308, path.replace(/\/+$/, ''), request.querystring);
        } else if (last.indexOf('.') < 0) {
            path += '.html';
        }
    }

    const shared = (release.immutable || []).some((prefix) => path.startsWith(prefix));
    // S3 takes a plus sign for a space.
    path = path.replace(/\+/g, '%2B');
    request.uri = (shared ? '/shared' : '/releases/' + release.id) + path + encoded(shared ? release.shared : release.encodings, path, request.headers['accept-encoding']);
    return request;
}

// Browsers take `//host` and `/\host` for another site.
function local(path) {
    return path.replace(/\\/g, '%5C').replace(/^\/+/, '/');
}

// The release that somebody looks at before it is live, else the one that is live; nothing before the first.
async function shown(cookie) {
    if (cookie && /^[A-Za-z0-9-]+$/.test(cookie.value)) {
        const release = await read('release:' + cookie.value);
        if (release) return JSON.parse(release);
    }
    const live = await read('live');
    return live && JSON.parse(live);
}

// A store throws for a key that it does not have.
async function read(key) {
    try {
        return await store.get(key);
    } catch (_) {
        return undefined;
    }
}

// What a redirect or a rewrite of the release says of a path.
async function ruled(release, path) {
    // No key is longer.
    const key = 'to:' + release.id + ':' + path;
    if (release.exact && key.length <= 512) {
        const found = await read(key);
        if (found) return { status: Number(found.substring(0, 3)), target: found.substring(4) };
    }
    for (let i = 0; i < (release.rules || 0); i++) {
        const chunk = JSON.parse((await read('rules:' + release.id + ':' + i)) || '[]');
        for (let j = 0; j < chunk.length; j++) {
            const target = matched(chunk[j][0], chunk[j][2], path);
            if (target !== undefined) return { status: chunk[j][1], target: target };
        }
    }
    return undefined;
}

// `:name` stands for one segment, and `*` at the end for the rest, which is `:splat` in the target.
function matched(pattern, target, path) {
    const wanted = pattern.split('/');
    const given = path.split('/');
    const values = {};
    for (let i = 0; i < wanted.length; i++) {
        if (wanted[i] === '*') {
            values[':splat'] = given.slice(i).join('/');
            return filled(target, values);
        }
        if (given[i] === undefined) return undefined;
        if (wanted[i][0] === ':' && given[i] !== '') values[wanted[i]] = given[i];
        else if (wanted[i] !== given[i]) return undefined;
    }
    return wanted.length === given.length ? filled(target, values) : undefined;
}

function filled(target, values) {
    const text = target.replace(/:[A-Za-z_][A-Za-z0-9_]*/g, (name) => (values[name] === undefined ? name : values[name]));
    // What a visitor puts in may not make another site of it.
    return text[0] === '/' ? local(text) : text;
}

// The ending of the object that is compressed as the visitor takes it, where the release has such: with Brotli before gzip, as
// CloudFront itself does. All that ends so is there compressed; nothing else could be known here.
function encoded(encodings, path, accepted) {
    if (!encodings || !accepted || !/\.(html|css|js|mjs|json|svg|xml|txt|wasm|webmanifest)$/.test(path)) return '';
    if (encodings.indexOf('br') >= 0 && likes(accepted.value, 'br')) return '.br';
    if (encodings.indexOf('gzip') >= 0 && likes(accepted.value, 'gzip')) return '.gz';
    return '';
}

function likes(accepted, encoding) {
    return accepted.split(',').some((one) => {
        const parts = one.split(';');
        return parts[0].trim().toLowerCase() === encoding && !/^\s*q=0(\.0*)?\s*$/.test(parts[1] || '');
    });
}

function moved(status, target, querystring) {
    const pairs = [];
    for (const name in querystring) {
        const values = querystring[name].multiValue || [querystring[name]];
        values.forEach((v) => pairs.push(v.value === '' ? name : name + '=' + v.value));
    }
    const at = target.indexOf('#') < 0 ? target.length : target.indexOf('#');
    const query = pairs.length && target.indexOf('?') < 0 ? '?' + pairs.join('&') : '';
    return {
        statusCode: status,
        statusDescription: 'Moved',
        headers: {
            location: { value: target.substring(0, at) + query + target.substring(at) },
            'cache-control': { value: 'max-age=0, must-revalidate' },
        },
    };
}

function told(status, words) {
    return {
        statusCode: status,
        statusDescription: words,
        headers: { 'cache-control': { value: 'no-store' }, 'content-type': { value: 'text/plain' } },
        body: words + '\n',
    };
}

// Shows one browser a release that is not live; without an id, the live one again.
async function begin(id) {
    if (id && !(await read('release:' + id))) return told(404, 'No such release');
    const cookies = {};
    cookies[PREVIEW] = { value: id, attributes: 'Path=/; Secure; HttpOnly; SameSite=Lax' + (id ? '' : '; Max-Age=0') };
    return {
        statusCode: 302,
        statusDescription: 'Preview',
        headers: { location: { value: '/' }, 'cache-control': { value: 'no-store' } },
        cookies: cookies,
    };
}
