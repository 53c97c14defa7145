// Rules for the page's scripts: eslint's recommended ones, and the project's style.

import js from "@eslint/js";
import globals from "globals";

const style = {
  camelcase: ["error", { properties: "never", ignoreDestructuring: true }], // the server's JSON has snake_case keys
  "consistent-return": "off",
  curly: ["error", "multi-line"],
  eqeqeq: "error",
  "func-style": ["error", "declaration", { allowArrowFunctions: true }],
  "max-len": "off",
  "max-lines": ["error", 300],
  "max-lines-per-function": ["error", 60],
  "no-restricted-syntax": [
    "error",
    { selector: "CallExpression[callee.property.name='insertAdjacentHTML']", message: "Use textContent." },
  ],
  "no-shadow": "error",
  "no-unused-vars": ["error", { args: "after-used" }],
  "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-const": ["error", { destructuring: "all" }],
};

/** No line is over 120 characters: eslint has given up its own rule for it. */
const maxLine = {
  rules: {
    "max-line": {
      create: (context) => ({
        Program(node) {
          context.sourceCode.lines.forEach((line, index) => {
            if (line.length <= 120) return;
            const loc = { line: index + 1, column: 120 };
            context.report({ node, loc, message: `This line has ${line.length} characters; 120 are allowed.` });
          });
        },
      }),
    },
  },
};

export default [
  js.configs.recommended,
  {
    files: ["**/*.js"],
    plugins: { asrkit: maxLine },
    languageOptions: { ecmaVersion: "latest", sourceType: "module" },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: { ...style, "asrkit/max-line": "error" },
  },
  { files: ["asrkit/**/*.js"], languageOptions: { globals: globals.browser } },
  {
    files: ["asrkit/transcription/export/page/*.js"],
    languageOptions: { globals: { ...globals.worker, ...globals.audioWorklet, ...globals.serviceworker } },
  },
  { files: ["tests/scripts/**/*.js"], languageOptions: { globals: globals.node } },
];
