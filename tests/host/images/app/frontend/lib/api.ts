/** The backend, as the server that renders the page reaches it. Read at run time: the image knows no address. */

export type Status = "planning" | "production" | "delivered";

export interface Project {
  id: string;
  title: string;
  client: string;
  status: Status;
  created_at: string;
}

export interface Check {
  status: "ok" | "failed";
  latency_ms: number;
  error?: string;
}

export interface Health {
  status: "ok" | "failed";
  release: string;
  checks: Record<string, Check>;
}

// A visitor does not wait longer, even where the API would.
const TIMEOUT_MS = 3000;

/** The answer, or null when there is none that can be used; why is the server's log to say, not the visitor's page. */
async function get<T>(path: string, accepted: number[]): Promise<T | null> {
  const url = `${process.env.INTERNAL_API_URL}${path}`;
  try {
    const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (accepted.includes(response.status)) {
      return (await response.json()) as T;
    }
    console.error(`GET ${url}: ${response.status}`);
  } catch (error) {
    console.error(`GET ${url}: ${error}`);
  }
  return null;
}

export const getProjects = () => get<Project[]>("/v1/projects?limit=12", [200]);
export const getHealth = () => get<Health>("/health", [200, 503]);
