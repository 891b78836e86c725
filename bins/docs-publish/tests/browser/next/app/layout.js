import Link from 'next/link';
import { Counter } from './counter';
import './site.css';

export const metadata = { title: 'Site' };

export default function Layout({ children }) {
    return (
        <html lang="en">
            <body>
                <nav>
                    <Link href="/">Home</Link> <Link href="/guide">Guide</Link> <Link href="/guide/first">First</Link>{' '}
                    <Link href="/about">About</Link>
                </nav>
                <Counter />
                <main>{children}</main>
            </body>
        </html>
    );
}
