'use client';

import { useState } from 'react';

// What it shows is lost when a page is loaded anew.
export function Counter() {
    const [count, setCount] = useState(0);
    return (
        <button id="counter" onClick={() => setCount(count + 1)}>
            {count}
        </button>
    );
}
