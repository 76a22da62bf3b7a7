// Reads a JSON list of queries and prints a list of whether Grafana's parser finds no error in each. Its package lies below argv[2].
const { parser } = require(require.resolve("@grafana/lezer-logql", { paths: [process.argv[2]] }));
const hasNoError = (query) => {
  let right = true;
  parser.parse(query).iterate({
    enter: (node) => {
      right &&= !node.type.isError;
    },
  });
  return right;
};
const queries = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(queries.map(hasNoError)));
