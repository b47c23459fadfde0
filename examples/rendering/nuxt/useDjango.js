// composables/useDjango.js: from the server while it renders, from the browser afterwards
export function useDjango(path) {
  const event = useRequestEvent(); // undefined in the browser
  const get = event ? event.context.django : fetch;
  return useAsyncData(path, async () => (await get(path)).json());
}
