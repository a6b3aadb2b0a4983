import { getHealth } from "../lib/api";

const NAMES: Record<string, string> = {
  database: "Banco de dados",
  cache: "Cache",
  queue: "Fila de tarefas",
  vectors: "Busca semântica",
  objects: "Arquivos",
};

export async function Health() {
  const health = await getHealth();
  if (health === null) {
    return <p role="alert">Não foi possível verificar os serviços agora.</p>;
  }
  return (
    <>
      <p>{health.status === "ok" ? "Tudo funcionando." : "Há serviços com falha."}</p>
      <dl className="checks">
        {Object.entries(health.checks).map(([name, check]) => (
          <div key={name} className={check.status}>
            <dt>{NAMES[name] ?? name}</dt>
            <dd>{check.status === "ok" ? `Normal (${Math.round(check.latency_ms)} ms)` : "Com falha"}</dd>
          </div>
        ))}
      </dl>
      <p className="meta">Versão {health.release}</p>
    </>
  );
}
