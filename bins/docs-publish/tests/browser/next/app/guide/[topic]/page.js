import { topics } from '../topics';

export function generateStaticParams() {
    return topics.map((topic) => ({ topic }));
}

export const dynamicParams = false;

export default async function Page({ params }) {
    const { topic } = await params;
    return <h1>Topic {topic}</h1>;
}
