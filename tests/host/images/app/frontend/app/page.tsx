import { Health } from "../components/health";
import { Projects } from "../components/projects";

// Rendered for every visit, never when the image is built: there is no API then.
export const dynamic = "force-dynamic";

/** Sent whole, not streamed: it can be read without scripts, and under a policy that forbids inline ones. */
export default function Page() {
  return (
    <>
      <h1>Nossos projetos</h1>
      <section aria-label="Projetos">
        <Projects />
      </section>
      <section aria-labelledby="servicos">
        <h2 id="servicos">Estado dos serviços</h2>
        <Health />
      </section>
    </>
  );
}
