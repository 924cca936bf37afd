# The service alone: no build tools, no embedded PostgreSQL, nothing that is written to.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY buf.yaml buf.gen.yaml tsconfig.json tsconfig.build.json ./
COPY third_party third_party
COPY proto proto
COPY scripts scripts
COPY server server
COPY deploy/kong deploy/kong
RUN node scripts/build.mjs --force

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# optional are the databases of development
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
# the image's user `node`, by number, so that a cluster can see that it is not root
USER 1000:1000
EXPOSE 50051 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.HTTP_PORT || 8080}/healthz`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# room for young objects: a call makes 50 kB of them, and with 16 MB they are copied too often
ENTRYPOINT ["node", "--max-semi-space-size=64", "dist/server/main.js"]
CMD ["serve"]
