export const topics = ['first', 'second', 'c-plus-plus'];
