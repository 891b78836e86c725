// Gives a response the headers that its object was published with. S3 keeps what it does not know as metadata; so
// headers belong to a release, like its pages. CloudFront does not ask it about errors.
function handler(event) {
    const headers = event.response.headers;
    Object.keys(headers).forEach((name) => {
        if (!name.startsWith('x-amz-meta-')) return;
        if (name.startsWith('x-amz-meta-header-')) headers[name.substring(18)] = { value: headers[name].value };
        delete headers[name];
    });
    // One address stands for the object as it is and compressed.
    if (headers['content-encoding'] && !headers.vary) headers.vary = { value: 'accept-encoding' };
    return event.response;
}
