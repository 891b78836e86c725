// Gives a response the headers that its object was published with. S3 keeps what it does not know as metadata; so
// headers belong to a release, like its pages. CloudFront does not ask it about errors.
function handler(event) {
    const headers = event.response.headers;
    Object.keys(headers).forEach((name) => {
        if (!name.startsWith('x-amz-meta-')) return;
        if (name.startsWith('x-amz-meta-header-')) headers[name.substring(18)] = { value: headers[name].value };
        delete headers[name];
    });
    // One address stands for a file as it is and compressed. A 304 does not show what it is about, so all say it.
    const said = headers.vary ? (headers.vary.multiValue || [headers.vary]).map((v) => v.value).join(', ') : '';
    if (!/\*|accept-encoding/i.test(said)) headers.vary = { value: said ? said + ', accept-encoding' : 'accept-encoding' };
    return event.response;
}
