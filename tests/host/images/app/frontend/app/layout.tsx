import type { Metadata } from "next";
import type { ReactNode } from "react";
import "./style.css";

export const metadata: Metadata = {
  title: "Somos Produtora",
  description: "Projetos da Somos Produtora e o estado dos seus serviços.",
};

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="pt-BR">
      <body>
        <a className="skip" href="#conteudo">
          Ir para o conteúdo
        </a>
        <header>
          <p className="brand">Somos Produtora</p>
        </header>
        <main id="conteudo">{children}</main>
      </body>
    </html>
  );
}
