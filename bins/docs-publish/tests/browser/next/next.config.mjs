/** Both ways to spell pages: `/guide/` and `/guide`. */
export default {
    output: 'export',
    trailingSlash: process.env.TRAILING_SLASH === 'true',
    images: { unoptimized: true },
};
