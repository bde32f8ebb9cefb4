/** `import()` as Metro carries it out, for Jest, which has none in CommonJS. */
module.exports = ({ template }) => {
  const required = template.expression('Promise.resolve().then(() => require(SOURCE))');
  return {
    visitor: {
      CallExpression(path) {
        if (path.node.callee.type !== 'Import') return;
        path.replaceWith(required({ SOURCE: path.node.arguments[0] }));
      },
    },
  };
};
