import Link from 'next/link';
import { topics } from './topics';

export default function Page() {
    return (
        <>
            <h1>Guide</h1>
            <ul>
                {topics.map((topic) => (
                    <li key={topic}>
                        <Link href={`/guide/${topic}`}>{topic}</Link>
                    </li>
                ))}
            </ul>
        </>
    );
}
