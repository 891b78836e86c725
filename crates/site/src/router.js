// Leads what a visitor asks for to the object that holds it. Runs on viewer requests, before the cache is looked at:
// what it makes of a path is the cache's key, so a switch of releases needs no invalidation.
import cf from 'cloudfront';

const store = cf.kvs();
const PREVIEW = 'causeway-release';

async function handler(event) {
    const request = event.request;
    if (request.uri === '/_errors/404.html') return request;

    const preview = /^\/_preview\/([A-Za-z0-9-]*)\/?$/.exec(request.uri);
    if (preview) return begin(preview[1]);

    const release = await shown(request.cookies[PREVIEW]);
    if (!release) return { statusCode: 503, statusDescription: 'Nothing published', headers: { 'cache-control': { value: 'no-store' } } };

    // Browsers take `//host` and `/\host` for another site.
    let path = request.uri.replace(/\\/g, '%5C').replace(/^\/+/, '/');
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
    request.uri = (shared ? '/shared' : '/releases/' + release.id) + path + encoded(release, path, request.headers['accept-encoding']);
    return request;
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
    if (release.exact) {
        const found = await read('to:' + release.id + ':' + path);
        if (found) return { status: Number(found.substring(0, 3)), target: found.substring(4) };
    }
    for (let i = 0; i < (release.rules || 0); i++) {
        const chunk = await read('rules:' + release.id + ':' + i);
        for (const rule of JSON.parse(chunk || '[]')) {
            const target = matched(rule[0], rule[2], path);
            if (target !== undefined) return { status: rule[1], target: target };
        }
    }
    return undefined;
}

// `:name` stands for one segment, and `*` at the end for the rest, which is `:splat` in the target.
function matched(pattern, target, path) {
    const wanted = pattern.split('/');
    const given = path.split('/');
    for (let i = 0; i < wanted.length; i++) {
        if (wanted[i] === '*') return target.replace(':splat', given.slice(i).join('/'));
        if (given[i] === undefined) return undefined;
        if (wanted[i][0] === ':' && given[i] !== '') target = target.replace(wanted[i], given[i]);
        else if (wanted[i] !== given[i]) return undefined;
    }
    return wanted.length === given.length ? target : undefined;
}

// The ending of the object that is compressed as the visitor likes best, where the release has such.
function encoded(release, path, accepted) {
    if (!release.encodings || !accepted || !/\.(html|css|js|mjs|json|svg|xml|txt|wasm|webmanifest)$/.test(path)) return '';
    if (release.encodings.indexOf('br') >= 0 && /\bbr\b/.test(accepted.value)) return '.br';
    if (release.encodings.indexOf('gzip') >= 0 && /\bgzip\b/.test(accepted.value)) return '.gz';
    return '';
}

function moved(status, target, querystring) {
    const pairs = [];
    for (const name in querystring) {
        const values = querystring[name].multiValue || [querystring[name]];
        values.forEach((v) => pairs.push(v.value === '' ? name : name + '=' + v.value));
    }
    const query = pairs.length && target.indexOf('?') < 0 ? '?' + pairs.join('&') : '';
    return {
        statusCode: status,
        statusDescription: 'Moved',
        headers: { location: { value: target + query }, 'cache-control': { value: 'max-age=0, must-revalidate' } },
    };
}

// Shows one browser a release that is not live; without an id, the live one again.
function begin(id) {
    const cookie = { value: id, attributes: 'Path=/; Secure; HttpOnly; SameSite=Lax' + (id ? '' : '; Max-Age=0') };
    return {
        statusCode: 302,
        statusDescription: 'Preview',
        headers: { location: { value: '/' }, 'cache-control': { value: 'no-store' } },
        cookies: { [PREVIEW]: cookie },
    };
}
